"""Residual streams that a step keeps, against transformers' (tests/goldens/make.py)."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raylax.kernels.build import load_whole
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cpu.artefacts import Blueprint
from raylax.kernels.cpu.model import load_model
from raylax.kernels.errors import CompileError
from raylax.kernels.options import ModelOptions
from raylax.kernels.shards import Degree
from tests.support.batches import Floats, Piece, batch_of
from tests.support.checkpoints import config_of, write_checkpoint
from tests.support.paths import GOLDENS
from tests.support.shards import bits, ranks_of

PAGES = [7, 3, 11, 5, 2]
LENGTH, LAST = 70, 8
ALL = np.arange(LENGTH, dtype=np.int32)
BIASED = "hidden-100-dim-80-mlp-biased"
OPTIONS = ModelOptions("q0f32", "auto", "cpu", None, 2, 128, 16, 128)


def streams_of(variant: str) -> tuple[list[int], Floats]:
    """A prompt, and f32[layers + 1, LAST, hidden] of its end."""
    ids = np.random.default_rng(1).integers(0, config_of(variant)["vocab_size"], LENGTH)
    with np.load(GOLDENS / "taps.npz") as file:
        return ids.tolist(), file[variant]


def error(got: Floats, want: Floats) -> float:
    """Largest error as a share of the scale."""
    return float(np.abs(got - want).max() / np.abs(want).max())


@pytest.mark.parametrize("taps", [(3, 0, 2), (1,)])
def test_streams_are_those_of_transformers(
    taps: tuple[int, ...], store: Path, tmp_path: Path
) -> None:
    """Of every token that was computed, in the order that was asked for, without padding; and
    whatever shares the step, the same bits."""
    ids, want = streams_of(BIASED)
    checkpoint = write_checkpoint(tmp_path, BIASED)
    model = load_model(checkpoint, replace(OPTIONS, taps=taps), 64, store)
    hidden = config_of(BIASED)["hidden_size"]

    model.step(batch_of([Piece(ids, 0, PAGES)]))
    whole = model.tapped(ALL)
    model.step(batch_of([Piece(ids[:63], 0, PAGES)]))
    model.step(batch_of([Piece(ids[:5], 0, [20]), Piece(ids[63:], 63, PAGES)]))
    chunked = model.tapped(ALL[5 : 5 + LENGTH - 63])

    assert whole.shape == (LENGTH, len(taps) * hidden)
    for at, tap in enumerate(taps):
        assert error(whole[-LAST:, at * hidden : (at + 1) * hidden], want[tap]) < 1e-5
    assert np.array_equal(bits(chunked), bits(whole[63:]))


def test_shards_have_whole_streams(store: Path, tmp_path: Path) -> None:
    """Each of them: partial sums were added before."""
    ids, want = streams_of("llama")
    checkpoint = write_checkpoint(tmp_path, "llama")
    options = replace(OPTIONS, threads=1, degree=Degree(2), taps=(1, 2))

    with ranks_of(checkpoint, options, 64, store) as ranks:
        ranks.step(Piece(ids, 0, PAGES))
        first, second = (model.tapped(ALL) for model in ranks.models)

    assert np.array_equal(bits(first), bits(second))
    assert error(first[-LAST:].reshape(LAST, 2, -1).swapaxes(0, 1), want[1:]) < 1e-5


def test_who_keeps_none_runs_the_same_code(checkpoint: Path) -> None:
    """Of those who do, all have one library, whichever they are."""
    read = open_checkpoint(checkpoint)
    without, one, other = (
        Blueprint(read, replace(OPTIONS, taps=taps)) for taps in ((), (1,), (0, 2))
    )

    assert one.library_key == other.library_key != without.library_key
    assert not {"taps", "tap_at"} & without.program.table.keys()
    assert one.emitter.emit("head", one.emitter.variants("head")[0]).script() == (
        without.emitter.emit("head", without.emitter.variants("head")[0]).script()
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"taps": (0, 3)}, "from 0 to the 2 layers of the model, found 0, 3"),
        ({"taps": (-1,)}, "from 0 to the 2 layers of the model, found -1"),
        ({"taps": (1, 1)}, "different numbers .* found 1, 1"),
        ({"taps": (1,), "degree": Degree(1, 2)}, "found pipeline_parallel_stages 2"),
        ({"taps": (3,), "device": "cuda:0", "target": "sm_90"}, "from 0 to the 2 .*, found 3"),
    ],
)
def test_what_there_is_not_is_refused(
    checkpoint: Path, changed: dict[str, object], message: str
) -> None:
    with pytest.raises(CompileError, match=message):
        load_whole(checkpoint, replace(OPTIONS, **changed), 8)  # type: ignore[arg-type]
