"""What a model becomes on a GPU, by name; and what is refused, with the CPU as remedy."""

from dataclasses import replace
from pathlib import Path

import pytest

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cuda.build import form_of
from raylax.kernels.cuda.cubins.chips import CHIPS
from raylax.kernels.cuda.form import DeviceForm
from raylax.kernels.cuda.step.capacity import weight_bytes
from raylax.kernels.errors import CompileError
from raylax.kernels.options import ModelOptions
from raylax.kernels.shards import Degree

ON_HOPPER = ModelOptions(device="cuda", target="sm_90")


def form(dtype: str, checkpoint: Path, quantization: str = "auto", kv: str = "auto") -> DeviceForm:
    options = replace(ON_HOPPER, quantization=quantization, kv_dtype=kv)
    return DeviceForm.of(open_checkpoint(checkpoint).spec, dtype, options, CHIPS[90])


@pytest.mark.parametrize(
    ("dtype", "quantization", "kv", "names"),
    [
        ("float32", "auto", "auto", ("q0bf16", "bf16")),
        ("float16", "auto", "auto", ("q0f16", "f16")),
        ("bfloat16", "auto", "bf16", ("q0bf16", "bf16")),
        ("float16", "q4f16_1", "f16", ("q4f16_1", "f16")),
        ("bfloat16", "q8f32_0", "int8", ("q8", "int8")),
        ("bfloat16", "fp8", "fp8", ("fp8", "fp8")),
    ],
)
def test_a_model_keeps_its_precision_where_nothing_else_is_asked_for(
    dtype: str, quantization: str, kv: str, names: tuple[str, str], checkpoint: Path
) -> None:
    made = form(dtype, checkpoint, quantization, kv)

    assert (made.quantization.name, made.kv_dtype) == names


@pytest.mark.parametrize(
    ("quantization", "kv", "said"),
    [
        ("q0f32", "auto", "quantization 'q0f32' is not there on CUDA; there are auto, q0f16, q0bf"),
        ("w8a8", "auto", "'w8a8' is not there on CUDA; .*; the CPU has it: --device cpu"),
        (
            "auto",
            "f32",
            "kv_dtype on CUDA must be auto, bf16, int8 or fp8 with q0bf16; found 'f3",
        ),
        ("q0f16", "bf16", "must be auto, f16, int8 or fp8 with q0f16; found 'bf16'; the CPU has i"),
    ],
)
def test_what_has_no_kernels_is_refused(
    quantization: str, kv: str, said: str, checkpoint: Path
) -> None:
    with pytest.raises(CompileError, match=said):
        form("bfloat16", checkpoint, quantization, kv)


def test_a_model_whose_heads_no_kernel_takes_is_refused(checkpoint: Path) -> None:
    spec = replace(open_checkpoint(checkpoint).spec, head_dim=288)
    with pytest.raises(CompileError, match="heads of 16 to 256 dims, a multiple of 16; this mod"):
        DeviceForm.of(spec, "bfloat16", ON_HOPPER, CHIPS[90])


def test_stages_are_refused(checkpoint: Path) -> None:
    options = replace(ON_HOPPER, degree=Degree(2, 2))
    with pytest.raises(CompileError, match="stages must be 1 on CUDA, .*found 2; the CPU has it"):
        form_of(open_checkpoint(checkpoint), options)


def test_launches_overlap_from_hopper_on(checkpoint: Path) -> None:
    options = replace(ON_HOPPER, overlap_launches=True)
    opened = open_checkpoint(checkpoint)

    assert all(one.overlapped for one in form_of(opened, options).variants())
    assert not any(one.overlapped for one in form_of(opened, ON_HOPPER).variants())
    with pytest.raises(CompileError, match="needs sm_90 or later, found sm_89; leave it out"):
        form_of(opened, replace(options, target="sm_89"))


def test_ranks_that_cut_through_a_block_are_refused_before_anything_is_loaded(
    checkpoint: Path,
) -> None:
    """96 MLP units are no two blocks of 128."""
    options = replace(ON_HOPPER, quantization="q4f16_1", degree=Degree(2))
    with pytest.raises(CompileError, match="must begin at a multiple of 128, found .*take fewer"):
        form_of(open_checkpoint(checkpoint), options)


def test_a_rank_has_its_part(checkpoint: Path) -> None:
    """Of memory, too: nearly half of the matrices, and room for what it gathers."""
    given = replace(ON_HOPPER, max_step_tokens=64)
    whole, part = (
        form_of(open_checkpoint(checkpoint), replace(given, degree=degree))
        for degree in (Degree(), Degree(2))
    )

    assert (part.heads.heads, part.heads.kv_heads) == (2, 1)
    assert part.layout.page_bytes * 2 == whole.layout.page_bytes
    assert 0.4 < weight_bytes(part, 64) / weight_bytes(whole, 64) < 0.9
    assert {v.name for v in part.variants()} >= {"add_norm_bf16_64_p2", "final_norm_bf16_64_p2"}


def test_a_chip_is_needed_to_know_it(checkpoint: Path) -> None:
    """The one that is named, or the one that is here."""
    assert form_of(open_checkpoint(checkpoint), ON_HOPPER).chip is CHIPS[90]
    with pytest.raises(CompileError, match="it needs a GPU and NVIDIA's driver"):
        form_of(open_checkpoint(checkpoint), ModelOptions(device="cuda:0"))
