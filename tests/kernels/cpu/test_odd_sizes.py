"""Models of sizes that no vector divides are computed with padding that nobody sees."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from raylax.kernels.cpu.model import CpuModel, load_model
from raylax.kernels.cpu.sizes import cpu_sizes
from raylax.kernels.families import spec_of
from raylax.kernels.options import ModelOptions
from raylax.kernels.shards import Degree
from tests.support.batches import Floats, Piece, batch_of, run
from tests.support.checkpoints import ODD_SIZES, VARIANTS, config_of, write_checkpoint
from tests.support.paths import GOLDENS
from tests.support.shards import bits, ranks_of

PAGES, ELSEWHERE = np.random.default_rng(6).permutation(64)[:38].reshape(2, 19).tolist()
BIASED, NARROW = "hidden-100-dim-80-mlp-biased", "mistral-dim-100"


class Golden(NamedTuple):
    """What transformers computes of a prompt of 300 tokens, more than a block of keys has."""

    ids: list[int]
    logits: Floats
    """Of the last 40."""
    hidden: Floats


def golden(variant: str) -> Golden:
    with np.load(GOLDENS / "sizes.npz") as file, np.load(GOLDENS / "sizes_hidden.npz") as states:
        return Golden(file[f"{variant}/ids"].tolist(), file[f"{variant}/logits"], states[variant])


def options(quantization: str, kv: str = "auto", degree: Degree | None = None) -> ModelOptions:
    threads = 1 if degree else 2
    return ModelOptions(quantization, kv, "cpu", None, threads, 512, 32, 512, degree or Degree())


def error(got: Floats, want: Floats) -> float:
    """Largest error as a share of the scale."""
    return float(np.abs(got - want).max() / np.abs(want).max())


@pytest.fixture(scope="module", params=list(ODD_SIZES))
def variant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(
    variant: str, store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CpuModel]:
    path = write_checkpoint(tmp_path_factory.mktemp(variant), variant)
    yield load_model(path, options("q0f32"), pages=96, store=store)


def test_a_prompt_matches_transformers(variant: str, model: CpuModel) -> None:
    """Logits and vectors, of the sizes that the model has."""
    ids, logits, hidden = golden(variant)
    rows = np.arange(len(ids), dtype=np.int32)[-32:]

    got = model.step(batch_of([Piece(ids, 0, PAGES)])._replace(rows=rows))

    assert got.logits.shape == logits[-32:].shape and got.hidden.shape == hidden[-32:].shape
    assert error(got.logits, logits[-32:]) < 1e-4
    assert error(got.hidden, hidden[-32:]) < 1e-4
    assert got.drawn.tolist() == logits[-32:].argmax(1).tolist()


def test_a_mixed_batch_matches_transformers(variant: str, model: CpuModel) -> None:
    """A decode, whose keys threads share, and a chunk that goes on in pages which held what is no
    number."""
    ids, want, _ = golden(variant)
    for page in ELSEWHERE:
        model.write_page(page, b"\xff" * model.page_bytes)
    run(model, Piece(ids[:299], 0, PAGES), Piece(ids[:23], 0, ELSEWHERE))

    got = run(model, Piece(ids[299:], 299, PAGES), Piece(ids[23:290], 23, ELSEWHERE))

    assert error(got, want[[-1, -11]]) < 1e-4


def test_ranks_match_transformers(uneven: Path, store: Path) -> None:
    """Two stages of two shards; of seven groups of MLP units the last is padding in most, and
    a bias is added once."""
    ids, want, hidden = golden(BIASED)
    with ranks_of(uneven, options("q0f32", degree=Degree(2, 2)), 96, store) as ranks:
        ranks.output(Piece(ids[:280], 0, PAGES))
        got = ranks.output(Piece(ids[280:], 280, PAGES), Piece(ids[:270], 0, ELSEWHERE))

    assert error(got.logits, want[[-1, -31]]) < 1e-4
    assert error(got.hidden, hidden[[-1, -31]]) < 1e-4


@pytest.mark.parametrize(
    ("variant", "quantization", "kv", "bound"),
    [
        (BIASED, "q0bf16", "auto", 0.06),
        (NARROW, "q4f32_1", "int8", 0.5),
        (NARROW, "w8a8", "int8", 0.08),
    ],
)
def test_padding_changes_no_bit_of_any_format(
    variant: str, quantization: str, kv: str, bound: float, store: Path, tmp_path: Path
) -> None:
    """Law 1: at once, token by token, in chunks beside others; and near to what is meant."""
    ids, want, _ = golden(variant)
    path = write_checkpoint(tmp_path, variant)
    model = load_model(path, options(quantization, kv), pages=96, store=store)
    others = [Piece(ids[i : i + 20], 0, [64 + 2 * i, 65 + 2 * i]) for i in range(9)]
    alone = run(model, Piece(ids, 0, PAGES))[0]

    run(model, Piece(ids[:133], 0, ELSEWHERE), *others[:2])
    chunked = run(model, *others, Piece(ids[133:], 133, ELSEWHERE))[-1]
    one_by_one = [run(model, Piece([id], at, PAGES)) for at, id in enumerate(ids)][-1][0]

    assert np.array_equal(bits(chunked), bits(alone))
    assert np.array_equal(bits(one_by_one), bits(alone))
    assert error(alone, want[-1]) < bound


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_fits_is_computed_as_it_is(variant: str) -> None:
    """The same sizes, so the same code."""
    spec = spec_of(config_of(variant))

    assert cpu_sizes(spec) == spec
