"""The step against transformers' logits (tests/goldens/make.py), however the prompt is cut."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from raylax.kernels.cpu.model import CpuModel, load_model
from raylax.kernels.options import ModelOptions
from tests.support.batches import OPTIONS, Piece, run
from tests.support.checkpoints import VARIANTS, write_checkpoint
from tests.support.paths import GOLDENS

LOGITS = GOLDENS / "logits.npz"
Floats = npt.NDArray[np.float32]
PAGES = [7, 3, 11, 5, 2]


def golden(variant: str) -> tuple[list[int], Floats]:
    with np.load(LOGITS) as file:
        return file[f"{variant}/ids"].tolist(), file[f"{variant}/logits"]


def options(quantization: str) -> ModelOptions:
    return replace(OPTIONS, quantization=quantization)


@pytest.fixture(scope="module", params=list(VARIANTS))
def variant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(
    variant: str, store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CpuModel]:
    path = write_checkpoint(tmp_path_factory.mktemp(variant), variant, shards=2)
    yield load_model(path, options("q0f32"), pages=64, store=store)


def error(got: Floats, want: Floats) -> float:
    """Largest error as a share of the logits' scale."""
    return float(np.abs(got - want).max() / np.abs(want).max())


def test_prefill_matches_transformers(variant: str, model: CpuModel) -> None:
    """Every row of a whole prompt in one step."""
    ids, want = golden(variant)

    rows = np.arange(len(ids), dtype=np.int32)[-32:]
    got = run(model, Piece(ids, 0, PAGES), rows=rows)

    assert error(got, want[-32:]) < 1e-4


@pytest.mark.parametrize("size", [1, 7, 16, 33])
def test_chunked_prefill_matches_transformers(variant: str, model: CpuModel, size: int) -> None:
    """The last row of every chunk, whatever the size of the chunks."""
    ids, want = golden(variant)

    for start in range(0, len(ids), size):
        chunk = ids[start : start + size]
        got = run(model, Piece(chunk, start, PAGES))

        assert error(got[0], want[start + len(chunk) - 1]) < 1e-4


def test_a_mixed_batch_matches_transformers(variant: str, model: CpuModel) -> None:
    """A decode, a chunk in the middle and a whole prompt share one step."""
    ids, want = golden(variant)
    pages = [[20, 21, 22, 23, 24], [30, 31, 32, 33, 34], [40, 41, 42, 43, 44]]
    run(model, Piece(ids[:50], 0, pages[0]), Piece(ids[:23], 0, pages[1]))

    got = run(
        model,
        Piece(ids[50:51], 50, pages[0]),
        Piece(ids[23:60], 23, pages[1]),
        Piece(ids[:40], 0, pages[2]),
    )

    assert error(got, want[[50, 59, 39]]) < 1e-4


def test_shared_prefix_pages_match_transformers(variant: str, model: CpuModel) -> None:
    """Two sequences read the same two pages and go on in pages of their own."""
    ids, want = golden(variant)
    run(model, Piece(ids[:32], 0, [50, 51]))

    first, second = (Piece(ids[32:], 32, [50, 51, *own]) for own in ([52, 53, 54], [55, 56, 57]))
    got = run(model, first, second)

    assert error(got, want[[-1, -1]]) < 1e-4


@pytest.mark.parametrize(
    ("quantization", "kv", "bound"),
    [("q0bf16", "bf16", 0.03), ("q0f16", "f32", 0.004), ("q0f32", "int8", 0.08)],
)
def test_smaller_formats_stay_near_f32(
    store: Path, checkpoint: Path, quantization: str, kv: str, bound: float
) -> None:
    """Of weights, activations, keys and values: so much of the logits' scale."""
    ids, want = golden("llama")
    model = load_model(
        checkpoint, replace(options(quantization), kv_dtype=kv), pages=64, store=store
    )

    got = run(model, Piece(ids, 0, PAGES))

    assert error(got[0], want[-1]) < bound
