"""Experts of a layer that lie in one tensor are those of their own that other checkpoints have."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from raylax.kernels.bf16 import to_bf16
from raylax.kernels.checkpoints.groups import Kind
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.errors import CheckpointError
from raylax.kernels.families import spec_of
from tests.support.family_checkpoints import drawn, write_family
from tests.support.family_configs import CONFIGS
from tests.support.paths import GOLDENS
from tests.support.rows import same_by_rows, same_in_groups
from tests.support.safetensors_files import save_as

Arrays = dict[str, np.ndarray[Any, Any]]
LAST = "model.layers.2.mlp.experts"


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return write_family(tmp_path / "plain", "gpt-oss")


@pytest.fixture
def blocks(tmp_path: Path) -> Path:
    return write_family(tmp_path / "blocks", "gpt-oss-mxfp4")


def change(path: Path, how: Callable[[Arrays], object], **config: Any) -> None:
    """Its tensors, and what its config says."""
    file = path / "model.safetensors"
    tensors = load_file(file)
    how(tensors)
    save_file({name: np.ascontiguousarray(one) for name, one in tensors.items()}, file)
    said = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(said | config))


def test_each_has_its_own(plain: Path) -> None:
    """Weights and biases, by the names that they have elsewhere."""
    found, want = open_checkpoint(plain), drawn(CONFIGS["gpt-oss"])

    for name, values in want.items():
        assert np.array_equal(found.tensor(name), values), name
        same_by_rows(lambda rows, name=name: found.tensor(name, rows))
    assert found.form(f"{LAST}.3.up_proj.weight") == "float32"


def test_what_lies_in_16_bits_is_taken_as_it_lies(plain: Path) -> None:
    file, want = plain / "model.safetensors", drawn(CONFIGS["gpt-oss"])
    tensors = load_file(file)
    save_as(file, {n: to_bf16(one) for n, one in tensors.items()}, dict.fromkeys(tensors, "BF16"))

    found = open_checkpoint(plain)

    for name in ("gate_proj.weight", "up_proj.bias", "down_proj.weight"):
        values = want[f"{LAST}.19.{name}"]
        bits = found.bits(f"{LAST}.19.{name}", "bfloat16")
        assert bits is not None and np.array_equal(bits, to_bf16(values))
        assert np.array_equal(found.tensor(f"{LAST}.19.{name}"), values)
        assert found.bits(f"{LAST}.19.{name}", "float16") is None


def test_mxfp4_is_what_transformers_reads(blocks: Path) -> None:
    """Bit by bit, as numbers and as the groups that are kept (tests/goldens/families.py)."""
    found = open_checkpoint(blocks)
    with np.load(GOLDENS / "families.npz") as file:
        both, down = (file[f"gpt-oss-mxfp4/{name}"] for name in ("gate_up_proj", "down_proj"))

    for expert in range(len(both)):
        own = {"gate": both[expert, :, ::2], "up": both[expert, :, 1::2], "down": down[expert]}
        for called, values in own.items():
            name = f"{LAST}.{expert}.{called}_proj.weight"
            assert np.array_equal(found.tensor(name), values.T)
            assert same_in_groups(found, name) == Kind(4, scale="bf16", table="e2m1")


def cut(name: str, axis: int) -> Callable[[Arrays], object]:
    """One tensor, short by one along an axis."""

    def shorter(tensors: Arrays) -> None:
        own = [slice(None)] * tensors[name].ndim
        own[axis] = slice(-1)
        tensors[name] = tensors[name][tuple(own)]

    return shorter


@pytest.mark.parametrize(
    ("end", "axis", "said"),
    [
        ("gate_up_proj", 0, r"expected shape \(20, 80, 200\), found \(19, 80, 200\)"),
        ("gate_up_proj", 2, r"expected shape \(20, 80, 200\), found \(20, 80, 199\)"),
        ("down_proj", 1, r"expected shape \(20, 100, 80\), found \(20, 99, 80\)"),
        ("gate_up_proj_bias", 1, r"expected shape \(20, 200\), found \(20, 199\)"),
        ("down_proj_bias", 0, r"expected shape \(20, 80\), found \(19, 80\)"),
    ],
)
def test_another_shape_is_told(plain: Path, end: str, axis: int, said: str) -> None:
    """Of the tensor that is in the file."""
    change(plain, cut(f"{LAST}.{end}", axis))

    with pytest.raises(CheckpointError, match=rf"tensor {LAST}.{end}: {said}$"):
        open_checkpoint(plain)


@pytest.mark.parametrize(
    ("end", "axis", "said"),
    [
        ("gate_up_proj_blocks", 3, r"expected shape \(6, 128, 3, 16\), found \(6, 128, 3, 15\)"),
        ("down_proj_blocks", 2, r"expected shape \(6, 96, 2, 16\), found \(6, 96, 1, 16\)"),
        ("down_proj_scales", 1, r"expected shape \(6, 96, 2\), found \(6, 95, 2\)"),
    ],
)
def test_other_blocks_are_told(blocks: Path, end: str, axis: int, said: str) -> None:
    change(blocks, cut(f"{LAST}.{end}", axis))

    with pytest.raises(CheckpointError, match=rf"tensor {LAST}.{end}: {said}$"):
        open_checkpoint(blocks)


def test_rows_that_blocks_do_not_fill_are_told(blocks: Path) -> None:
    def no_biases(tensors: Arrays) -> None:
        for name in [name for name in tensors if name.endswith("_bias")]:
            del tensors[name]

    change(blocks, no_biases, intermediate_size=80)

    with pytest.raises(CheckpointError, match=r"proj_blocks: 80 inputs are no whole groups of 32"):
        open_checkpoint(blocks)


def test_scales_that_are_missing_are_told(blocks: Path) -> None:
    change(blocks, lambda tensors: tensors.pop(f"{LAST}.down_proj_scales"))

    with pytest.raises(CheckpointError, match=r"0.down_proj.weight_scales is missing"):
        open_checkpoint(blocks)


def test_who_has_them_apart_is_read_as_well(plain: Path) -> None:
    """As somebody may save them who quantises each by itself."""
    save_file(want := drawn(CONFIGS["gpt-oss"]), plain / "model.safetensors")

    found = open_checkpoint(plain)

    assert found.spec == spec_of(CONFIGS["gpt-oss"])
    assert np.array_equal(found.tensor(f"{LAST}.0.down_proj.weight"),
                          want[f"{LAST}.0.down_proj.weight"])  # fmt: skip
