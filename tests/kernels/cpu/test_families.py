"""Each family against transformers (tests/goldens/families.py), however the prompt is cut."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from raylax.kernels.cpu.model import CpuModel, load_model
from raylax.kernels.cpu.step import step
from raylax.kernels.cpu.step.step import variants
from raylax.kernels.options import ModelOptions
from tests.support.batches import OPTIONS, Piece, run
from tests.support.family_checkpoints import write_family
from tests.support.family_configs import CONFIGS, OF_OTHERS
from tests.support.paths import GOLDENS

Floats = npt.NDArray[np.float32]
Golden = tuple[list[int], Floats]
PAGES, OTHERS = [7, 3, 11, 5, 2], [20, 21, 22, 23, 24]
BOUND = 1e-4
"""Of the logits' scale."""


@pytest.fixture(scope="module", params=[*CONFIGS, *OF_OTHERS])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def loaded(path: Path, options: ModelOptions, store: Path) -> CpuModel:
    """Compiled for many rows alone, which takes a quarter of the time; that all variants have the
    same bits other tests show."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, "variants", lambda formats: variants(formats)[-1:])
        return load_model(path, options, pages=64, store=store / "many-rows")


@pytest.fixture(scope="module")
def model(family: str, store: Path, tmp_path_factory: pytest.TempPathFactory) -> CpuModel:
    return loaded(write_family(tmp_path_factory.mktemp(family), family), OPTIONS, store)


@pytest.fixture(scope="module")
def golden(family: str) -> Golden:
    return golden_of(family)


def golden_of(family: str) -> Golden:
    """Ids, and the last logits."""
    with np.load(GOLDENS / "families.npz") as file:
        return file[f"{family}/ids"].tolist(), file[f"{family}/logits"]


def error(got: Floats, want: Floats) -> float:
    """The largest."""
    return float(np.abs(got - want).max() / np.abs(want).max())


def test_a_whole_prompt(model: CpuModel, golden: Golden) -> None:
    ids, want = golden
    rows = np.arange(len(ids), dtype=np.int32)[-len(want) :]

    got = run(model, Piece(ids, 0, PAGES), rows=rows)

    assert error(got, want) < BOUND
    assert np.array_equal(got.argmax(-1), want.argmax(-1))


def test_chunks_decodes_and_pages_of_others(model: CpuModel, golden: Golden) -> None:
    """A prompt in chunks; then a decode of it beside another one that goes on in its first pages,
    and one that begins."""
    ids, want = golden
    first = len(ids) - len(want)
    for start in range(0, 60, 12):
        got = run(model, Piece(ids[start : start + 12], start, PAGES))
        if start + 12 > first:
            assert error(got[0], want[start + 11 - first]) < BOUND

    got = run(
        model,
        Piece(ids[60:61], 60, PAGES),
        Piece(ids[32:], 32, [*PAGES[:2], *OTHERS[2:]]),
        Piece(ids[:50], 0, [30, 31, 32, 33]),
    )

    assert error(got, want[[60 - first, -1, 49 - first]]) < BOUND


def test_what_shares_a_step_changes_no_bit(model: CpuModel, golden: Golden) -> None:
    """Law 1."""
    ids, _ = golden
    alone = run(model, Piece(ids, 0, PAGES))[0]
    run(model, Piece(ids[:41], 0, OTHERS))

    beside = run(model, Piece(ids[7:40], 0, [40, 41, 42]), Piece(ids[41:], 41, OTHERS))[1]

    assert np.array_equal(alone, beside)


@pytest.mark.parametrize(
    ("family", "quantization", "kv", "bound"),
    [
        ("gemma3", "w8a8", "bf16", 0.05),
        ("pythia", "q8f32_0", "int8", 0.05),
        ("glm4", "q0bf16", "bf16", 0.05),
        ("gpt2", "q4f32_1", "bf16", 0.5),
        ("qwen2-moe", "w8a8", "bf16", 0.1),
        ("glm4-moe", "w8a8", "bf16", 0.1),
        ("mixtral", "q0bf16", "bf16", 0.05),
        ("gpt-oss", "q0bf16", "bf16", 0.1),
        ("gpt-oss-mxfp4", "w8a8", "bf16", 0.2),
        ("gpt-oss-mxfp4", "auto", "bf16", 0.1),
    ],
)
def test_smaller_formats_stay_near(
    family: str, quantization: str, kv: str, bound: float, store: Path, tmp_path: Path
) -> None:
    """Of weights, activations, keys and values: so much of the logits' scale at the median, for
    now and then a router chooses another expert, and all is another text."""
    ids, want = golden_of(family)
    options = replace(OPTIONS, quantization=quantization, kv_dtype=kv)
    rows = np.arange(len(ids), dtype=np.int32)[-len(want) :]

    model = loaded(write_family(tmp_path, family), options, store)
    got = run(model, Piece(ids, 0, PAGES), rows=rows)

    assert np.median([error(*pair) for pair in zip(got, want, strict=True)]) < bound
