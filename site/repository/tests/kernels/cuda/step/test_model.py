"""The demo model on a driver without a GPU: its launches are checked, and interpreted as a chip
computes them."""

from dataclasses import replace
from time import perf_counter

import numpy as np
import pytest

from raylax.kernels.build import footprint
from raylax.kernels.cpu.model import load_model
from raylax.kernels.cuda import driver
from raylax.kernels.cuda.build import load_on_device
from raylax.kernels.cuda.cubins.chips import CHIPS
from raylax.kernels.cuda.cubins.facts import listed
from raylax.kernels.cuda.matrix_unit import HOPPER
from raylax.kernels.cuda.step.capacity import KEPT_BY_CUDA
from raylax.kernels.errors import DeviceError
from tests.support.batches import Floats, Piece, batch_of
from tests.support.cuda_demo import CHIP, naming
from tests.support.cuda_fake.child import on_fake_device
from tests.support.cuda_fake.device import installed
from tests.support.cuda_fake.machine import cubins_here
from tests.support.cuda_first_layers import PAGES, model, on_gpu, options
from tests.support.cuda_interpreter import matrix_unit

PROMPT = [int(one) for one in np.random.default_rng(5).integers(3, 500, 18)]
WHOLE = Piece(PROMPT, 0, [3, 1])
OTHER = Piece(PROMPT[7:13], 0, [9])


def logits(*pieces: Piece) -> Floats:
    return np.array(on_gpu().step(batch_of(pieces)).logits)


@on_fake_device
def test_its_answer_is_the_cpus() -> None:
    """Greedy tokens of a few steps, and logits as near as bf16 comes."""
    cpu = load_model(model(), options("cpu"), PAGES)
    piece = WHOLE

    for _ in range(2):
        expected = cpu.step(batch_of([piece]))
        found = on_gpu().step(batch_of([piece]))

        largest = float(np.abs(expected.logits).max())
        assert np.abs(found.logits[0] - expected.logits[0]).max() < 0.02 * largest
        assert np.abs(found.hidden[0] - expected.hidden[0]).max() < 0.02 * largest
        assert found.drawn.tolist() == expected.drawn.tolist()
        end = piece.start + len(piece.tokens)
        piece = Piece([int(found.drawn[0])], end, WHOLE.pages)


@on_fake_device
def test_a_model_that_names_some_tokens_reads_all() -> None:
    """Also those behind the last that it names, beyond which its head is padded."""
    tokens = list(range(3, 43, 2))
    path = naming(model().parent / "some", model(), tokens)
    some, piece = load_on_device(path, options("cuda:0"), PAGES), Piece([500, 4, 499], 0, [2])

    assert np.array_equal(np.array(some.step(batch_of([piece])).logits), logits(piece)[:, tokens])
    whole, own = (footprint(one, options("cuda:0")).weights for one in (model(), path))
    assert own > whole


@on_fake_device
def test_attention_is_divided_among_what_the_device_runs_at_once() -> None:
    """Multiprocessors, as the driver counts them, times programs of the tile of decodes."""
    (cubins,), chip = cubins_here(), CHIPS[CHIP]
    each = listed(cubins, chip)["attend_bf16_h4_2_64_plain_q8"].at_once(chip)

    assert (driver.multiprocessors(0), each > 1) == (132, True)
    assert on_gpu().places == 132 * each


@on_fake_device
def test_a_row_has_the_same_bits_alone_in_chunks_and_in_a_batch() -> None:
    with matrix_unit(HOPPER):
        alone = logits(WHOLE)[0]
        first = Piece(PROMPT[:11], 0, [12, 13])
        logits(first)
        chunked = logits(OTHER, Piece(PROMPT[11:], 11, [12, 13]))[1]

    assert np.array_equal(alone, chunked)


@on_fake_device
def test_it_takes_what_was_said_before() -> None:
    """Of weights, workspace and pages, but for what CUDA is thought to keep."""
    on_gpu()
    before, _ = driver.memory(0)
    needs = footprint(model(), options("cuda:0"))

    second = load_on_device(model(), options("cuda:0"), PAGES)

    said = needs.weights + needs.workspace - KEPT_BY_CUDA + PAGES * needs.page
    taken = before - driver.memory(0)[0]
    assert 0.9 * said < taken <= said
    del second
    assert driver.memory(0)[0] == before


@on_fake_device
def test_a_gpu_that_is_full_says_what_was_wanted() -> None:
    """Nothing of it is left there."""
    on_gpu()
    before, _ = driver.memory(0)

    with pytest.raises(DeviceError, match=r"weights \d+ MiB \+ workspace .* lower gpu_memory_uti"):
        load_on_device(model(), options("cuda:0"), 1 << 20)

    assert driver.memory(0)[0] == before


@on_fake_device
def test_pages_go_on_elsewhere() -> None:
    """What a page holds can be read, and written to another one."""
    model = on_gpu()
    logits(Piece(PROMPT[:17], 0, [3, 1]))
    expected = logits(Piece(PROMPT[17:18], 17, [3, 1]))
    for source, to in ((3, 20), (1, 21)):
        content = model.read_page(source)
        assert len(content) == model.page_bytes
        model.write_page(to, content)

    assert np.array_equal(logits(Piece(PROMPT[17:18], 17, [20, 21])), expected)


@on_fake_device
def test_steps_of_one_shape_are_replayed_over_other_inputs() -> None:
    """Decodes of 3 and of 4 sequences are one graph; what is filled up changes nothing."""
    lasts = [Piece([PROMPT[i]], 0, [6 + i]) for i in range(4)]
    four = logits(*lasts)
    device, _ = installed()
    before = len(device.names)

    three = logits(*lasts[:3])

    launches = device.names[before:]
    again = logits(*lasts)
    assert device.names[before + len(launches) :] == launches
    assert np.array_equal(three, four[:3])
    assert np.array_equal(again, four)


@on_fake_device
def test_without_graphs_the_bits_are_the_same() -> None:
    """Nothing is captured then, and everything launched anew."""
    plain = load_on_device(model(), replace(options("cuda:0"), graphs=False), PAGES)
    lasts = batch_of([Piece([PROMPT[i]], 0, [6 + i]) for i in range(4)])

    assert np.array_equal(np.array(plain.step(lasts).logits), on_gpu().step(lasts).logits)
    assert not plain._runner._graphs and on_gpu()._runner._graphs


@on_fake_device
def test_the_host_is_no_slower_than_a_step() -> None:
    """Launches stubbed: what it does for 64 decodes takes far less than a step of any GPU."""
    device, _ = installed()
    batch = batch_of([Piece([7], 16 + i % 8, [i % PAGES, 23]) for i in range(64)])
    device.stubbed = True
    try:
        on_gpu().step(batch)
        took = []
        for _ in range(50):
            began = perf_counter()
            on_gpu().step(batch)
            took.append(perf_counter() - began)
    finally:
        device.stubbed = False

    assert min(took) < 0.001, "bench/gpu says how long it takes; here only that it is no loop"
