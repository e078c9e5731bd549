"""Medusa's heads against torch (tests/goldens/heads.py), and what is wrong with others."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from raylax.kernels.errors import CheckpointError
from raylax.kernels.heads.medusa import MedusaHead, load_medusa, medusa_footprint
from raylax.kernels.model import Floats, Ints
from raylax.kernels.options import ModelOptions
from raylax.kernels.shards import Degree
from tests.support.checkpoints import write_checkpoint
from tests.support.draft_heads import (
    MEDUSAS,
    Arrays,
    hidden_of,
    medusas_weights,
    write_medusa,
)
from tests.support.paths import GOLDENS
from tests.support.shards import bits
from tests.support.torch_files import write_torch_file

OPTIONS = ModelOptions("q0f32", "auto", "cpu", None, 2, 128, 16, 128)


def golden(variant: str) -> Floats:
    """[heads, rows, vocab]."""
    with np.load(GOLDENS / "heads.npz") as file:
        logits: Floats = file[variant]
        return logits


def loaded(path: Path, variant: str, options: ModelOptions = OPTIONS) -> MedusaHead:
    base = write_checkpoint(path / "base", MEDUSAS[variant].base)
    others = replace(options, degree=Degree(2, 2), taps=(1,))
    made = load_medusa(write_medusa(path / "heads", variant), base, others)
    assert isinstance(made, MedusaHead)
    return made


def said(heads: MedusaHead, hidden: Floats) -> tuple[Floats, Ints]:
    """Logits of all heads, and what they have drawn."""
    heads.begin(hidden)
    every = [heads.step(head, [*range(len(hidden))]) for head in range(heads.heads)]
    for one in every:
        assert one.largest.tolist() == one.logits.max(1).tolist()
    return np.stack([one.logits for one in every]), np.stack([one.drawn for one in every])


def error(got: Floats, want: Floats) -> float:
    """Largest error as a share of the scale."""
    return float(np.abs(got - want).max() / np.abs(want).max())


@pytest.mark.parametrize("variant", MEDUSAS)
def test_logits_are_torchs(variant: str, tmp_path: Path) -> None:
    """Of all heads that are in the file, whatever the config says; and the largest of each."""
    want = golden(variant)
    heads = loaded(tmp_path, variant)

    logits, drawn = said(heads, hidden_of(MEDUSAS[variant], want.shape[1]))

    assert heads.heads == len(want)
    assert error(logits, want) < 1e-5
    assert drawn.tolist() == want.argmax(-1).tolist()
    some = heads.step(1, [2, 0])
    assert np.array_equal(some.logits, logits[1, [2, 0]])


@pytest.mark.parametrize(
    ("variant", "quantization"),
    [("medusa", "q4f32_1"), ("medusa", "w8a8"), ("medusa-odd", "q0bf16")],
)
def test_a_row_has_the_same_bits_beside_any_other(
    variant: str, quantization: str, tmp_path: Path
) -> None:
    """Law 1: in every tile."""
    hidden = hidden_of(MEDUSAS[variant], 11)
    heads = loaded(tmp_path, variant, replace(OPTIONS, quantization=quantization))
    together, _ = said(heads, hidden)

    for some in ([0], [3, 1], [10, 0, 5, 2, 7]):
        assert np.array_equal(bits(said(heads, hidden[some])[0]), bits(together[:, some]))


def test_what_torch_has_saved_is_read(tmp_path: Path) -> None:
    """As most are published; a prefix changes nothing."""
    want = golden("medusa")
    base = write_checkpoint(tmp_path / "base", "llama")
    path = write_medusa(tmp_path / "heads", "medusa")
    (path / "medusa_lm_head.safetensors").unlink()
    weights = {f"medusa_head.{name}": one for name, one in medusas_weights("medusa").items()}
    write_torch_file(path / "medusa_lm_head.pt", weights)

    read = load_medusa(path, base, OPTIONS)
    assert isinstance(read, MedusaHead)

    assert error(said(read, hidden_of(MEDUSAS["medusa"], want.shape[1]))[0], want) < 1e-5


def test_heads_say_what_they_take(tmp_path: Path) -> None:
    """No pages."""
    base = write_checkpoint(tmp_path / "base", "llama")

    said = medusa_footprint(write_medusa(tmp_path / "heads", "medusa"), base, OPTIONS)

    assert said.page == 0 and said.workspace > 0
    assert said.weights >= sum(one.nbytes for one in medusas_weights("medusa").values())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"medusa_num_heads": 4}, "medusa_num_heads is 4, the file has 3 heads"),
        ({"medusa_num_heads": None}, "are no heads of Medusa.s: its config.json has no medusa_num"),
        ({"medusa_num_heads": "2"}, "heads/config.json: medusa_num_heads must be .* found '2'"),
        ({"medusa_num_layers": 2}, r"tensor 0.1.linear.weight of shape \(64, 64\) is missing"),
        ({"hidden_size": 96}, "another base: its hidden size is 96, the base's 64"),
        ({"vocab_size": 98}, "another base: its vocabulary is 98, the base's 99"),
    ],
)
def test_a_lying_config_is_named(config: dict[str, Any], message: str, tmp_path: Path) -> None:
    """With what it says, and what is so."""
    base = write_checkpoint(tmp_path / "base", "llama")

    with pytest.raises(CheckpointError, match=message):
        load_medusa(write_medusa(tmp_path / "heads", "medusa", **config), base, OPTIONS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda w: w.update({"0.1.weight": np.zeros((50, 64), np.float32)}),
            "another base: its vocabulary is 50, the base's 99",
        ),
        (
            lambda w: w.update({"0.1.weight": np.zeros((99, 32), np.float32)}),
            "another base: its hidden size is 32, the base's 64",
        ),
        (
            lambda w: w.update({"0.1.weight": np.zeros((99, 64), np.int32)}),
            "tensor 0.1.weight: dtype I32 is not supported, only float32",
        ),
        (lambda w: w.pop("2.0.linear.bias"), r"tensor 2.0.linear.bias of shape \(64,\) is missing"),
        (lambda w: w.update({"b": np.zeros(3, np.float32)}), "tensor b is not of the model"),
        (lambda w: [w.pop(n) for n in [*w] if n[0] == "0"], r"0.0.linear.weight .* is missing"),
    ],
)
def test_other_tensors_are_named(
    change: Callable[[Arrays], Any], message: str, tmp_path: Path
) -> None:
    base = write_checkpoint(tmp_path / "base", "llama")
    path, weights = write_medusa(tmp_path / "heads", "medusa"), medusas_weights("medusa")
    change(weights)
    save_file(weights, path / "medusa_lm_head.safetensors")

    with pytest.raises(CheckpointError, match=message):
        load_medusa(path, base, OPTIONS)
