"""What a step hands out besides logits: the hidden state that they are made of."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raylax.kernels.cpu.formats import NAMES
from raylax.kernels.cpu.model import CpuModel, load_model
from raylax.kernels.options import ModelOptions
from raylax.kernels.shards import Degree
from tests.support.batches import OPTIONS, Floats, Piece, batch_of
from tests.support.checkpoints import VARIANTS, write_checkpoint
from tests.support.paths import GOLDENS
from tests.support.shards import bits, ranks_of

PAGES = [7, 3, 11, 5, 2]
LENGTH = 70
PROMPT = np.random.default_rng(5).integers(0, 99, LENGTH).tolist()
OTHERS = [
    Piece(np.random.default_rng(6 + i).integers(0, 99, 20).tolist(), 0, [20 + 2 * i, 21 + 2 * i])
    for i in range(9)
]


def options(quantization: str, degree: Degree | None = None, threads: int = 2) -> ModelOptions:
    return replace(OPTIONS, quantization=quantization, threads=threads, degree=degree or Degree())


def hidden(model: CpuModel, *pieces: Piece) -> Floats:
    return model.step(batch_of(pieces)).hidden.copy()


@pytest.fixture(scope="module", params=list(VARIANTS))
def variant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_it_is_transformers_last_hidden_state(variant: str, store: Path, tmp_path: Path) -> None:
    """After the final norm, whole or in chunks, for every row that is asked for."""
    with np.load(GOLDENS / "logits.npz") as file, np.load(GOLDENS / "hidden.npz") as states:
        ids, want = file[f"{variant}/ids"].tolist(), states[variant]
    checkpoint = write_checkpoint(tmp_path, variant)
    model = load_model(checkpoint, options("q0f32"), pages=64, store=store)

    rows = np.arange(len(ids), dtype=np.int32)[-32:]
    whole = model.step(batch_of([Piece(ids, 0, PAGES)])._replace(rows=rows)).hidden.copy()
    hidden(model, Piece(ids[:33], 0, PAGES))
    rest = hidden(model, Piece(ids[33:], 33, PAGES))

    assert np.abs(whole - want[-32:]).max() < 1e-4 * np.abs(want).max()
    assert np.array_equal(bits(rest[-1]), bits(whole[-1]))


@pytest.fixture(scope="module", params=NAMES)
def model(request: pytest.FixtureRequest, checkpoint: Path, store: Path) -> Iterator[CpuModel]:
    yield load_model(checkpoint, options(request.param), pages=64, store=store)


@pytest.mark.parametrize("beside", [0, 1, 4, 9])
def test_it_has_the_same_bits_in_any_batch_and_chunks(model: CpuModel, beside: int) -> None:
    """Law 1, in every weight format and every row tile of the head."""
    alone = hidden(model, Piece(PROMPT, 0, PAGES))[0]

    hidden(model, Piece(PROMPT[:33], 0, PAGES), *OTHERS[:beside])
    got = hidden(model, *OTHERS[:beside], Piece(PROMPT[33:], 33, PAGES))[-1]

    assert np.array_equal(bits(got), bits(alone))


@pytest.mark.parametrize("degree", [Degree(2), Degree(1, 2), Degree(2, 2)], ids=str)
def test_the_rank_that_samples_has_it(checkpoint: Path, store: Path, degree: Degree) -> None:
    """The first shard of the last stage; stages alone change no bit."""
    one = load_model(checkpoint, options("q0f32", threads=1), pages=64, store=store)
    want = hidden(one, Piece(PROMPT, 0, PAGES), *OTHERS[:2])
    with ranks_of(checkpoint, options("q0f32", degree, 1), 64, store) as ranks:
        got = ranks.output(Piece(PROMPT, 0, PAGES), *OTHERS[:2]).hidden

    assert np.abs(got - want).max() <= 1e-5 * np.abs(want).max()
    if degree.tensor == 1:
        assert np.array_equal(bits(got), bits(want))
