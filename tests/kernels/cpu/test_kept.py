"""What lies in groups in a file is computed with as it lies there; the rest becomes 8 bits."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raylax.kernels.checkpoints.groups import Kind, own
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cpu.artefacts import Blueprint
from raylax.kernels.cpu.kept import Kept, kept, kept_as, told
from raylax.kernels.cpu.model import load_model
from raylax.kernels.options import ModelOptions
from raylax.kernels.shards import Degree
from tests.support.batches import OPTIONS, Floats, Piece
from tests.support.checkpoints import write_checkpoint
from tests.support.gguf_files import write_gguf
from tests.support.quantised import write_quantised
from tests.support.shards import bits, ranks_of

Q4_0, Q4_1, Q8_0, Q5_1 = Kind(4), Kind(4, offset="minimum"), Kind(8), Kind(8, offset="minimum")
E2M1 = Kind(4, scale="bf16", table="e2m1")
PROMPT = np.random.default_rng(5).integers(0, 99, 40).tolist()
ALONE = Degree()


@pytest.mark.parametrize(
    ("forms", "want"),
    [
        ({Q4_1}, Kept(Q4_1)),
        ({Q4_0, Q8_0}, Kept(Q8_0)),
        ({Q4_1, Q5_1}, Kept(Q5_1)),
        ({Q4_0, Q4_1}, Kept(own(8), ("4 bits",))),
        ({Q8_0, Kind(8, 128)}, Kept(own(8), ("8 bits",))),
        ({"Q6_K"}, Kept(own(8), ("Q6_K",))),
        ({own(8), "Q2_K"}, Kept(own(8), ("Q2_K",))),
        ({"bfloat16"}, Kept("bfloat16")),
        ({"float16", "float32"}, Kept("float32")),
        ({"float16", Q4_0}, Kept(own(8), ("4 bits", "float16"))),
        ({E2M1}, Kept(E2M1)),
        ({E2M1, own(8)}, Kept(own(8))),
        ({E2M1, own(4)}, Kept(own(8))),
        ({E2M1, "Q6_K"}, Kept(own(8), ("Q6_K",))),
    ],
)
def test_a_matrix_is_what_all_of_it_can_be(forms: set[Kind | str], want: Kept) -> None:
    """4 bits beside 8 become 8 and are not rounded; other groups, and what is no group, are."""
    assert kept_as(forms) == want


def test_what_is_kept_and_what_is_not_is_told() -> None:
    """A line, and nothing of a head that is one with the embedding."""
    plan = {
        "w_embed": Kept("bfloat16"), "w_head": Kept("bfloat16"), "w_qkv": Kept(Q4_1),
        "w_o": Kept(Q4_1), "w_down": Kept(own(8), ("Q4_K", "Q6_K")),
    }  # fmt: skip

    assert told(plan, tied=True) == (
        "weights stay as they lie in the file: embedding bfloat16; qkv and o 4 bits, groups of 32, "
        "f16 scales, minimum; rounded once to 8 bits: down, of Q4_K and Q6_K"
    )


def options(quantization: str, degree: Degree) -> ModelOptions:
    return replace(OPTIONS, quantization=quantization, degree=degree)


def logits(path: Path, quantization: str, store: Path, degree: Degree = ALONE) -> Floats:
    with ranks_of(path, options(quantization, degree), 16, store) as ranks:
        found: Floats = ranks.step(Piece(PROMPT, 0, [3, 4, 5]))[-1]
        return found


def apart(found: Floats, want: Floats) -> float:
    """How far, of the length that they have."""
    return float(np.linalg.norm(found - want) / np.linalg.norm(want))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Quantised checkpoints, by what they have."""
    write_gguf(blocks := tmp_path_factory.mktemp("blocks"), kind="Q4_1")
    zeros = write_quantised(tmp_path_factory.mktemp("zeros"), zeros=True)
    return {"Q4_1": blocks / "model.gguf", "zeros": zeros}


@pytest.mark.parametrize(
    ("file", "form"),
    [("Q4_1", Q4_1), ("zeros", Kind(8, 128, "f32", "zero"))],
)
def test_logits_are_those_of_the_numbers(
    file: str, form: Kind, files: dict[str, Path], store: Path
) -> None:
    """Up to what rounding activations to 8 bits costs, and with two shards, which begin in the
    middle of a block."""
    path = files[file]
    formats = Blueprint(open_checkpoint(path), options("auto", ALONE)).quantization.named
    want, found = logits(path, "q0f32", store), logits(path, "auto", store)
    shared = logits(path, "auto", store, Degree(2))

    assert {formats[name] for name in ("w_qkv", "w_o", "w_gate_up", "w_down")} == {str(form)}
    assert apart(found, want) < 0.03 and apart(shared, want) < 0.03


def test_stages_change_no_bit(files: dict[str, Path], store: Path) -> None:
    path = files["zeros"]

    whole, staged = (logits(path, "auto", store, degree) for degree in (ALONE, Degree(1, 2)))

    assert np.array_equal(bits(whole), bits(staged))


def test_who_names_a_quantisation_gets_it(files: dict[str, Path], store: Path) -> None:
    """As ever: the numbers are rounded again."""
    model = load_model(files["Q4_1"], options("q8f32_0", ALONE), 8, store)
    stored = load_model(files["Q4_1"], options("auto", ALONE), 8, store)

    assert (model.quantization, stored.quantization) == ("q8f32_0", "stored")
    assert stored.weight_bytes("w_down") < 0.7 * model.weight_bytes("w_down")


def test_what_is_not_quantised_has_no_plan(tmp_path: Path) -> None:
    assert kept(open_checkpoint(write_checkpoint(tmp_path))) == {}


def test_rows_of_zeros_change_nothing(tmp_path: Path, store: Path) -> None:
    """Where heads of 16 dims are computed as 32: groups of `o` would be cut, and become 8 bits."""
    path = write_quantised(tmp_path / "narrow", "llama", head_dim=16)

    plan = kept(open_checkpoint(path))
    want, found = logits(path, "q0f32", store), logits(path, "auto", store)

    assert plan["w_qkv"].form == Kind(8, 128, "f32")
    assert plan["w_o"].converted == ("8 bits",)
    assert apart(found, want) < 0.05
