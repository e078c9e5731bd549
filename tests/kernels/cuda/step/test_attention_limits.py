"""Attention that sees a window and the first tokens, or whose scores are capped: fields of the
spec, from which a step on a GPU follows. Of one layer, since there a window is the same as a prompt
that begins later."""

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cpu.model import load_model
from raylax.kernels.cuda.build import form_of
from raylax.kernels.cuda.form import DeviceForm
from raylax.kernels.cuda.matrix_unit import HOPPER
from raylax.kernels.cuda.step.model import DeviceModel
from raylax.kernels.options import ModelOptions, silent
from tests.support.batches import PAGE, Floats, Piece, run
from tests.support.cuda_demo import DEMO, cubins_of, first_layers
from tests.support.cuda_fake.child import FakeMachine, on_fake_device
from tests.support.cuda_fake.machine import cubins_here
from tests.support.cuda_interpreter import matrix_unit

WINDOW, SINKS, CAP = 5, 3, 0.5
PROMPT = [int(one) for one in np.random.default_rng(5).integers(3, 500, 20)]
LONG = 1100
OPTIONS = ModelOptions("q0bf16", "auto", "cuda:0", "sm_90", 2, 32, 4, LONG + 1)
LIMITS: dict[str, dict[str, Any]] = {
    "window": {"window": WINDOW},
    "sinks": {"window": WINDOW + SINKS, "sinks": SINKS},
    "cap": {"softcap": CAP},
    "high cap": {"softcap": 1e6},
}
CODE = ("window", "sinks", "cap")
"""Of which there is machine code: how high a cap is is no part of it."""


def form(limits: str) -> DeviceForm:
    made = form_of(open_checkpoint(DEMO), OPTIONS)
    return replace(made, spec=replace(made.spec, layers=1, **LIMITS[limits]))


@pytest.fixture(scope="module")
def fake_machine(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeMachine]:
    """One H100, with the machine code of all kinds of attention."""

    def make() -> list[Path]:
        return [cubins_of(form(limits), store) for limits in CODE]

    yield from FakeMachine.with_code(tmp_path_factory.mktemp("driver"), make)


@cache
def one_layer() -> Path:
    return first_layers(Path(os.environ["LD_LIBRARY_PATH"]) / "one", 1)


@cache
def model(limits: str) -> DeviceModel:
    checkpoint = open_checkpoint(one_layer())
    cubins = cubins_here()[CODE.index(limits.removeprefix("high "))]
    return DeviceModel(checkpoint, OPTIONS, form(limits), cubins, 8, silent)


def on_cpu(tokens: list[int], window: int = 0, sinks: int = 0) -> Floats:
    """Logits after these tokens. Each window takes a compile, the most of a test's time."""
    options = replace(OPTIONS, device="cpu", target=None, window=window, sinks=sinks)
    return run(load_model(one_layer(), options, 8), Piece(tokens, 0, [1, 2]))


def far(one: Floats, other: Floats) -> float:
    """The largest difference, in parts of the largest logit."""
    return float(np.abs(one - other).max() / np.abs(other).max())


@on_fake_device
def test_a_token_sees_its_window_and_nothing_before() -> None:
    """What comes of the last few tokens, on a CPU that has been told of no others."""
    found = run(model("window"), Piece(PROMPT, 0, [1, 2]))[0]

    assert far(found, on_cpu(PROMPT[-WINDOW:])) < 0.02
    assert far(found, on_cpu(PROMPT[-WINDOW - 1 :])) > 0.02


@on_fake_device
def test_a_window_has_the_same_bits_in_chunks_and_in_a_batch() -> None:
    with matrix_unit(HOPPER):
        alone = run(model("window"), Piece(PROMPT, 0, [1, 2]))[0]
        run(model("window"), Piece(PROMPT[:17], 0, [3, 4]))
        chunked = run(model("window"), Piece(PROMPT[:3], 0, [5]), Piece(PROMPT[17:], 17, [3, 4]))[1]

    assert np.array_equal(alone, chunked)


@on_fake_device
def test_sinks_are_seen_as_on_a_cpu() -> None:
    """And neither the window alone nor all there is."""
    found = run(model("sinks"), Piece(PROMPT, 0, [1, 2]))[0]

    assert far(found, on_cpu(PROMPT, WINDOW + SINKS, SINKS)) < 0.02
    assert far(found, on_cpu(PROMPT[-WINDOW:])) > 0.02
    assert far(found, on_cpu(PROMPT)) > 0.02


@on_fake_device
def test_sinks_have_the_same_bits_in_chunks_and_in_a_batch() -> None:
    with matrix_unit(HOPPER):
        alone = run(model("sinks"), Piece(PROMPT, 0, [1, 2]))[0]
        run(model("sinks"), Piece(PROMPT[:2], 0, [3, 4]))
        run(model("sinks"), Piece(PROMPT[2:17], 2, [3, 4]), Piece(PROMPT[:9], 0, [6]))
        chunked = run(model("sinks"), Piece(PROMPT[:3], 0, [5]), Piece(PROMPT[17:], 17, [3, 4]))[1]

    assert np.array_equal(alone, chunked)


@on_fake_device
def test_what_lies_between_the_sinks_and_the_window_is_not_read() -> None:
    """Of a long sequence's three splits the second is left out, which the work list has to know."""
    here, (first, other, last, gone) = model("sinks"), range(1, 5)
    for page, tokens in ((first, PROMPT[:16]), (other, PROMPT[4:]), (last, PROMPT[2:18])):
        run(here, Piece(tokens, 0, [page]))
    here.write_page(gone, b"\xff" * here.page_bytes)  # NaN

    def decoded(sinks: int, between: int) -> Floats:
        pages = [sinks, *[between] * (LONG // PAGE - 1), last]
        (found,) = run(here, Piece(PROMPT[-1:], LONG, pages))
        return np.array(found)

    assert np.array_equal(decoded(first, gone), decoded(first, other))
    assert not np.array_equal(decoded(first, gone), decoded(other, gone))


@on_fake_device
def test_scores_are_capped_as_far_as_the_cap_goes() -> None:
    """A high one changes nothing."""
    want = on_cpu(PROMPT)

    assert far(run(model("high cap"), Piece(PROMPT, 0, [1, 2]))[0], want) < 0.02
    assert far(run(model("cap"), Piece(PROMPT, 0, [1, 2]))[0], want) > 0.02


def test_windows_and_sinks_are_those_of_the_options() -> None:
    """How many there are is no part of the machine code, but whether there are any."""
    asked = replace(OPTIONS, window=7)
    plain, few, more = (
        form_of(open_checkpoint(DEMO), replace(asked, sinks=sinks)) for sinks in (0, 3, 4)
    )

    assert (plain.spec.window, plain.spec.sinks, more.spec.sinks) == (7, 0, 4)
    assert few.variants() == more.variants()
    assert {v.name for v in few.variants()} - {v.name for v in plain.variants()} == {
        f"attend_bf16_h4_2_64_plain_window_sinks_q{queries}" for queries in (8, 16, 32, 64)
    }
