"""The demo model among 2 and 4 ranks, each on a GPU of the fake driver, by a fake NCCL."""

import os
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cpu.model import CpuModel, load_model
from raylax.kernels.cuda.matrix_unit import HOPPER
from raylax.kernels.cuda.step.model import DeviceModel
from raylax.kernels.options import ModelOptions
from tests.support.batches import Floats, Piece, batch_of
from tests.support.checkpoints import write_checkpoint
from tests.support.cuda_demo import first_layers
from tests.support.cuda_fake.device import installed
from tests.support.cuda_interpreter import matrix_unit
from tests.support.cuda_ranks import PAGES, FakeRanks, model_of, on_fake_ranks, rank, rank_cubins
from tests.support.family_checkpoints import write_family

pytestmark = pytest.mark.timeout(1200)  # what the store has not is compiled first
PROMPT = [int(one) for one in np.random.default_rng(5).integers(3, 90, 12)]
WHOLE = Piece(PROMPT, 0, [3])
SHORT = Piece(PROMPT[:6], 0, [5])
OTHER = Piece(PROMPT[4:7], 0, [9])
BIASED = {"hidden_size": 250, "head_dim": 60, "intermediate_size": 90, "num_hidden_layers": 1}
"""Computed with the demo model's heads and rows; 90 MLP units are 3 groups, and 99 tokens 4
panels."""
FAMILIES = "phi2", "glm4", "glm4-moe", "gpt-oss"


@pytest.fixture(scope="module")
def fake_ranks(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeRanks]:
    """Four H100, and the models that ranks share, in one directory."""
    directory = tmp_path_factory.mktemp("driver")
    first_layers(directory / "demo", 1)
    write_checkpoint(directory / "biased", "llama3-untied-biased", **BIASED)
    others = [directory / "biased", *(write_family(directory / one, one) for one in FAMILIES)]
    opened = [open_checkpoint(one) for one in others]
    yield from FakeRanks.with_code(directory, lambda: rank_cubins(store, *opened))


def checkpoint(name: str) -> Path:
    return Path(os.environ["LD_LIBRARY_PATH"], name)


@cache
def model(name: str, world: int) -> DeviceModel:
    return model_of(checkpoint(name), world)


@cache
def on_cpu(name: str) -> CpuModel:
    options = ModelOptions("q0bf16", "auto", "cpu", None, 1, 64, 16, 128)
    return load_model(checkpoint(name), options, PAGES)


def logits(model: DeviceModel, *pieces: Piece) -> Floats:
    return np.array(model.step(batch_of(pieces)).logits)


def digest(values: Floats) -> int:
    return zlib.crc32(np.ascontiguousarray(values).tobytes())


def answer(name: str, world: int, piece: Piece, steps: int = 1) -> list[int]:
    """Digests of the logits of a prefill and of decodes, which are compared with the CPU's."""
    found = []
    for _ in range(steps):
        out = model(name, world).step(batch_of([piece]))
        row = out.logits[0]
        found += [digest(row), digest(out.hidden[0]), int(out.drawn[0])]
        if rank() == 0:
            expected = on_cpu(name).step(batch_of([piece]))
            largest = float(np.abs(expected.logits).max())
            assert np.abs(row - expected.logits[0]).max() < 0.02 * largest
            assert np.abs(out.hidden[0] - expected.hidden[0]).max() < 0.02 * largest
            assert out.drawn.tolist() == expected.drawn.tolist()
        piece = Piece([int(out.drawn[0])], piece.start + len(piece.tokens), piece.pages)
    return found


@on_fake_ranks(2)
def test_the_answer_of_two_is_the_cpus() -> object:
    """Greedy tokens, and logits as near as bf16 comes; the same bits on both."""
    return answer("demo", 2, SHORT, 2)


@on_fake_ranks(4)
def test_the_answer_of_four_is_the_cpus() -> object:
    """Two of them have each head of keys, and windows of MLP groups overlap."""
    return answer("demo", 4, SHORT)


@on_fake_ranks(2)
def test_biases_and_a_head_of_its_own_are_shared_too() -> object:
    return answer("biased", 2, SHORT)


@on_fake_ranks(2)
def test_units_without_gates_and_their_biases_are_shared_too() -> object:
    """And a bias of the head, beside layer norms; attention and MLP add to one stream."""
    return answer("phi2", 2, SHORT)


@on_fake_ranks(2)
def test_norms_are_of_what_all_ranks_came_to() -> object:
    """Those behind attention and MLP."""
    return answer("glm4", 2, SHORT)


@on_fake_ranks(2)
def test_each_has_experts_of_its_own_and_a_part_of_the_mlp_beside_them() -> object:
    """10 of 21 experts and 11, which all ranks choose alike; and of the first layer's MLP."""
    return answer("glm4-moe", 2, SHORT)


@on_fake_ranks(2)
def test_scores_without_values_are_those_of_a_ranks_heads() -> object:
    """Beside experts with biases, and nothing beside those."""
    return answer("gpt-oss", 2, SHORT)


@on_fake_ranks(2)
def test_a_row_has_the_same_bits_alone_in_chunks_and_in_a_batch() -> object:
    """By graphs, which hold what ranks exchange."""
    two = model("demo", 2)
    with matrix_unit(HOPPER):
        alone = logits(two, WHOLE)[0]
        logits(two, Piece(PROMPT[:7], 0, [10]))
        chunked = logits(two, OTHER, Piece(PROMPT[7:], 7, [10]))[1]

    assert np.array_equal(alone, chunked)
    return digest(alone)


@on_fake_ranks(2)
def test_what_ranks_exchange_is_replayed_over_other_inputs() -> object:
    """Decodes of 3 and of 4 sequences are one graph."""
    two, (device, _) = model("demo", 2), installed()
    lasts = [Piece([PROMPT[i]], 0, [6 + i]) for i in range(4)]
    four = logits(two, *lasts)
    before = len(device.names)
    three = logits(two, *lasts[:3])
    launches = device.names[before:]
    again = logits(two, *lasts)

    assert device.names[before + len(launches) :] == launches
    assert np.array_equal(three, four[:3])
    assert np.array_equal(again, four)
    return digest(four)
