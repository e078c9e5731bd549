"""What a model becomes on a GPU, by name; and what is refused, with the CPU as remedy."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cuda.build import form_of
from raylax.kernels.cuda.cubins.chips import CHIPS
from raylax.kernels.cuda.form import DeviceForm
from raylax.kernels.cuda.step.capacity import weight_bytes
from raylax.kernels.errors import CompileError
from raylax.kernels.families import weights_of
from raylax.kernels.options import ModelOptions
from raylax.kernels.padding import unpadded
from raylax.kernels.shards import Degree
from raylax.kernels.spec import Experts, Fusion

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
        ("mxfp4", "auto", "quantization mxfp4 is one of experts, and .* has none; take another"),
    ],
)
def test_what_has_no_kernels_is_refused(
    quantization: str, kv: str, said: str, checkpoint: Path
) -> None:
    with pytest.raises(CompileError, match=said):
        form("bfloat16", checkpoint, quantization, kv)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"head_dim": 258}, "head_dim must be at most 256 on CUDA, found 258; the CPU has it"),
        ({"hidden": 16386}, "hidden must be at most 16384 on CUDA, found 16386; the CPU has it"),
        (
            {"experts": Experts(5000, 2, 32)},
            "a router on a GPU has at most 4096 experts, found 5000: serve it with --device cpu",
        ),
        (
            {"experts": Experts(1, 1, 32)},
            "tensor_parallel_shards must be at most the 1 experts, found 2",
        ),
        (
            {"fusion": Fusion("residual", 99, 64), "mlp_bias": True},
            "LlamaForCausalLM: mlp_bias is not there on CUDA; the CPU has it",
        ),
        ({"qk_norm": "whole"}, "must be 1 for a model whose norms are of all queries .* found 2"),
        ({"heads": 5, "kv_heads": 5}, "divide the attention heads.* found 2 for 5 heads"),
        ({"intermediate": 30}, "must be at most 1, one for each 32 of the 30 MLP units, found 2"),
    ],
)
def test_a_model_that_no_kernel_takes_is_refused(
    checkpoint: Path, wrong: dict[str, Any], said: str
) -> None:
    """With the rule, and what the model has: not what would be computed."""
    spec = replace(open_checkpoint(checkpoint).spec, **wrong)
    with pytest.raises(CompileError, match=said):
        DeviceForm.of(spec, "bfloat16", replace(ON_HOPPER, degree=Degree(2)), CHIPS[90])


@pytest.mark.parametrize(
    ("quantization", "sizes", "computed"),
    [
        ("q0bf16", (64, 32, 96), (64, 32, 96)),
        ("q0bf16", (100, 100, 200), (112, 112, 224)),
        ("q0f16", (1, 2, 1), (16, 16, 32)),
        ("q8", (112, 16, 33), (128, 32, 64)),
        ("q8", (112, 80, 32), (128, 96, 32)),
        ("q4f16_1_g128", (64, 32, 96), (128, 128, 128)),
    ],
)
def test_sizes_become_what_kernels_and_groups_of_a_format_want(
    quantization: str, sizes: tuple[int, ...], computed: tuple[int, ...], checkpoint: Path
) -> None:
    """Here of three heads: what they attend to is a row of inputs, too."""
    names = "hidden", "head_dim", "intermediate"
    own: dict[str, Any] = dict(zip(names, sizes, strict=True))
    spec = replace(open_checkpoint(checkpoint).spec, heads=3, kv_heads=1, **own)

    options = replace(ON_HOPPER, quantization=quantization)
    made = DeviceForm.of(spec, "bfloat16", options, CHIPS[90])

    assert tuple(getattr(made.spec, name) for name in names) == computed
    assert unpadded(made.spec) == spec
    for weight in weights_of(made.spec).values():
        if weight.is_matrix and weight.layered:
            made.quantization.layers.pack(np.ones(weight.shape, np.float32))


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
