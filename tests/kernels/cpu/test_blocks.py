"""Blocks of GGUF files that compiled code reads have the bits that numpy makes of them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf.constants import GGMLQuantizationType
from gguf.quants import dequantize

from raylax.kernels.checkpoints.base import Blocks
from raylax.kernels.checkpoints.gguf.blocks import block_bytes
from raylax.kernels.checkpoints.gguf.groups import TYPES
from raylax.kernels.checkpoints.groups import Groups, Kind
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cpu import blocks as compiled
from raylax.kernels.cpu.artefacts import Blueprint
from raylax.kernels.cpu.blocks import IN_F32, IN_GROUPS, IN_PANELS, decoded, taken_apart
from raylax.kernels.cpu.formats.grouped import Grouped
from raylax.kernels.cpu.target import cpu, this_cpu
from raylax.kernels.cpu.tir import blocks, codes, panels
from raylax.kernels.errors import CheckpointError, CompileError
from raylax.kernels.memory import aligned_copy, aligned_zeros
from raylax.kernels.options import ModelOptions
from raylax.kernels.runtime import as_tensor
from tests.kernels.conftest import TARGETS, Runner
from tests.support.gguf_files import OUTER, random_blocks, write_gguf
from tests.support.kept import kept_functions

ROWS, COLUMNS = 96, 768
PANELS = [(kind, name) for kind, names in IN_PANELS.items() for name in names]
DOWN = "model.layers.1.mlp.down_proj.weight"
MIXES = {
    "as Q4_K_M": {"v_proj": "Q6_K", "down_proj": "Q6_K", "lm_head": "Q6_K"},
    "all alike": {},
    "as Q4_K_S": {"layers.0.self_attn.v_proj": "Q5_K", "layers.0.mlp.down_proj": "Q5_K"},
    "as Q3_K_S": {"proj": "Q3_K", "lm_head": "Q6_K"},
    "of all kinds": {
        "embed": "Q5_K", "q_proj": "Q2_K", "k_proj": "Q3_K", "v_proj": "Q5_K", "o_proj": "Q3_K",
        "gate": "Q5_K", "up": "Q5_K", "down_proj": "Q5_K", "layers.0.mlp.down_proj": "Q2_K",
    },
}  # fmt: skip
"""Types of tensors whose name has this; others are Q4_K."""


def blocks_of(kind: str) -> Blocks:
    """Some rows, with scales of all sizes that f16 has."""
    size = block_bytes(int(GGMLQuantizationType[kind]))
    content = random_blocks(kind, (ROWS, COLUMNS)).reshape(ROWS, -1, size)
    if kind in OUTER:
        count = content.shape[1]
        tiny = np.arange(ROWS * count, dtype=np.uint16).reshape(ROWS, count, 1)
        content[40:80, :, OUTER[kind][0] :][:, :, :2] = (tiny[40:80] % 300 * 97).view(np.uint8)
    return Blocks(kind, size, content.reshape(ROWS, -1))


def by_the_package(found: Blocks) -> np.ndarray:
    return dequantize(found.content, GGMLQuantizationType[found.kind])


def groups_of(found: Blocks) -> Groups:
    return TYPES[found.kind].groups(found.one_by_one)


def same_bytes(a: np.ndarray, b: np.ndarray) -> bool:
    """Signs of zeros included."""
    return (a.shape, a.dtype, a.tobytes()) == (b.shape, b.dtype, b.tobytes())


@pytest.mark.parametrize("kind", IN_F32)
def test_numbers_are_those_of_the_package(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In calls that end within a row; and of no rows."""
    found = blocks_of(kind)
    monkeypatch.setattr(compiled, "AT_ONCE", 7)

    assert same_bytes(decoded(found), by_the_package(found))
    assert decoded(found._replace(content=found.content[:0])).size == 0


@pytest.mark.parametrize("kind", IN_F32)
@pytest.mark.parametrize("bits", [0x7C00, 0xFC00, 0x7E01], ids=["inf", "-inf", "nan"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_no_number_stays_none(kind: str, bits: int) -> None:
    """So that whoever packs it says so."""
    found = blocks_of(kind)
    at = OUTER[kind][-1]
    found.content[::5, at : at + 2] = np.array([bits], np.uint16).view(np.uint8)

    assert np.array_equal(decoded(found), by_the_package(found), equal_nan=True)


@pytest.mark.parametrize(("kind", "name"), PANELS)
def test_panels_are_those_of_groups(kind: Kind, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In calls of one panel each, and of bytes that begin anywhere."""
    found, form = blocks_of(name), Grouped(kind, this_cpu())
    groups, shifted = groups_of(found).as_kind(kind), np.zeros(found.content.size + 1, np.uint8)
    shifted[1:] = found.content.reshape(-1)
    monkeypatch.setattr(compiled, "AT_ONCE", 1)

    odd = found._replace(content=shifted[1:].reshape(ROWS, -1))

    assert np.array_equal(form.pack(odd), form.pack(groups))


@pytest.mark.parametrize("name", IN_GROUPS)
def test_codes_are_those_of_numpy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every code that there is, and scales as they are."""
    found = blocks_of(name)
    monkeypatch.setattr(compiled, "AT_ONCE", 7)

    made, want = taken_apart(found), groups_of(found)

    assert made.kind == want.kind
    for field in want.kind.fields:
        assert same_bytes(getattr(made, field), getattr(want, field)), field


@pytest.mark.parametrize("target", TARGETS)
def test_all_cpus_have_the_same_bytes(target: str, runner: Runner, store: Path) -> None:
    """Law 1."""
    wanted = cpu(target)
    functions: dict[str, Callable[[], Any]] = {
        **{f"numbers_{name}": partial(blocks.emitted, name) for name in IN_F32},
        **{f"codes_{name}": partial(codes.emitted, name) for name in IN_GROUPS},
        **{
            f"panels_{name}_{kind.bits}": partial(panels.emitted, name, kind.bits)
            for kind, name in PANELS
        },
    }
    library = kept_functions(store, {"reads": "blocks"}, wanted, functions, runner(wanted))

    def run(function: str, *given: Any) -> None:
        arrays = (one if isinstance(one, int) else as_tensor(one.reshape(-1)) for one in given)
        library[function](*arrays)

    for name in (*IN_F32, *IN_GROUPS):
        found = blocks_of(name)
        content, count = aligned_copy(found.content), found.content.size // found.size
        if name in IN_F32:
            numbers = aligned_zeros((ROWS, COLUMNS), "float32")
            run(f"numbers_{name}", count, content, numbers)
            assert same_bytes(numbers, by_the_package(found)), name
        if name in IN_GROUPS:
            bytes_ = aligned_zeros((ROWS, COLUMNS), "uint8")
            run(f"codes_{name}", count, content, bytes_)
            assert same_bytes(bytes_, groups_of(found).codes), name
    for kind, name in PANELS:
        found = blocks_of(name)
        want = Grouped(kind, this_cpu()).pack(groups_of(found).as_kind(kind))
        words = aligned_zeros(want.shape, "int32")
        content = aligned_copy(found.content).view(np.int32)
        run(f"panels_{name}_{kind.bits}", ROWS // 32, COLUMNS // 256, content, words)
        assert np.array_equal(words, want), name


@pytest.mark.parametrize("mix", MIXES.values(), ids=list(MIXES))
def test_a_file_is_packed_as_by_numpy(
    mix: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of queries and keys where they belong, gate and up by turns, a vocabulary of no whole
    panels."""

    def kind(name: str) -> str:
        return next((mix[part] for part in reversed(mix) if part in name), "Q4_K")

    write_gguf(tmp_path, "llama3-untied-biased", kind, sizes=SIZES)

    here = packed(tmp_path / "model.gguf", tmp_path / "here")
    monkeypatch.setattr(compiled, "IN_F32", ())
    monkeypatch.setattr(compiled, "IN_GROUPS", {})
    monkeypatch.setattr("raylax.kernels.cpu.packing.IN_PANELS", {})
    by_numpy = packed(tmp_path / "model.gguf", tmp_path / "there")

    assert here == by_numpy


SIZES = {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 4,
         "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 99}  # fmt: skip


def packed(file: Path, to: Path) -> bytes:
    to.mkdir()
    options = ModelOptions("auto", threads=2, max_step_tokens=8, max_sequence_length=64)
    blueprint = Blueprint(open_checkpoint(file), options)
    blueprint.pack(to, lambda stage, share: None)
    return (to / "weights.bin").read_bytes()


@pytest.mark.parametrize("kind", ["Q4_K", "Q5_K", "Q6_K"])
def test_weights_that_are_none_are_refused_by_name(kind: str, tmp_path: Path) -> None:
    """Whether they are kept or rounded."""
    write_gguf(tmp_path, kind=kind, sizes=SIZES)
    file, size = tmp_path / "model.gguf", block_bytes(int(GGMLQuantizationType[kind]))
    place = open_checkpoint(file).tensors[DOWN].place  # type: ignore[attr-defined]
    content = bytearray(file.read_bytes())
    at = place.start + 9 * size + OUTER[kind][-1]
    content[at : at + 2] = b"\xff\x7f"
    file.write_bytes(content)

    with pytest.raises(CheckpointError, match=f"{DOWN} has .* NaN"):
        packed(file, tmp_path / "packed")


def test_a_file_that_has_become_shorter_is_refused(tmp_path: Path) -> None:
    """After it was opened: whoever maps it would be killed."""
    write_gguf(tmp_path, kind="Q6_K", sizes=SIZES)
    file = tmp_path / "model.gguf"
    found = open_checkpoint(file)
    with file.open("r+b") as content:
        content.truncate(found.tensors[DOWN].place.start + 1000)  # type: ignore[attr-defined]

    with pytest.raises(CheckpointError, match=r"model.gguf: ends at byte \d+"):
        found.blocks(DOWN)


def test_scales_of_panels_must_be_numbers() -> None:
    """Told before anything is made of them."""
    found, form = blocks_of("Q4_K"), Grouped(TYPES["Q4_K"].kind, this_cpu())
    found.content[3, 0:2] = np.array([0x7C00], np.uint16).view(np.uint8)

    with pytest.raises(CompileError, match="scales and minima of groups must be finite"):
        form.pack(found)
