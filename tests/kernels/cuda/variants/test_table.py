"""Which machine code a chip and a model have."""

import ast
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from raylax.kernels.cuda.cubins.chips import CHIPS, Chip
from raylax.kernels.cuda.cubins.source import file_of, module_of
from raylax.kernels.cuda.variants.attention import AttentionShape, attend, tiles_of
from raylax.kernels.cuda.variants.base import Variant
from raylax.kernels.cuda.variants.table import all_for, of_model, shared
from raylax.kernels.errors import CompileError
from raylax.kernels.spec import Local, Rope
from tests.support.cuda_models import MODELS, shipped

LLAMA = MODELS[0][0]
on_all_chips = pytest.mark.parametrize("chip", CHIPS.values(), ids=lambda chip: chip.name)


@cache
def arguments_of(kernel: str) -> list[str]:
    """Of a source's function, read without Triton."""
    path = file_of(module_of(kernel))
    assert path is not None
    name = kernel.partition(":")[2]
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return [argument.arg for argument in node.args.args]
    raise AssertionError(f"{path} has no {name}")


@on_all_chips
def test_every_variant_is_what_its_kernel_takes(chip: Chip) -> None:
    """All its arguments, those at run time in its order; numbers that are aligned are there."""
    for variant in shipped(chip):
        takes = arguments_of(variant.kernel)
        given = [*variant.types, *variant.constants]

        assert sorted(takes) == sorted(given), variant.name
        assert [name for name in takes if name in variant.types] == list(variant.types), (
            variant.name
        )
        assert all(variant.types[name] in ("i32", "i64") for name in variant.aligned), variant.name


@on_all_chips
def test_what_all_models_share_knows_none(chip: Chip) -> None:
    """So a model of another shape adds only what has its sizes in its name."""
    names = {variant.name for variant in shared(chip.number)}
    own = {variant.name for variant in of_model(LLAMA, chip.number, "bf16")}

    assert not names & own
    assert {v.name for v in all_for(LLAMA, chip.number, "bf16", ("q4_g32",))} - own < names
    assert all("4096" in name or "h32_8_128" in name for name in own)


def test_variants_of_one_name_are_one_variant() -> None:
    """Models of one shape in part share what is compiled."""
    found: dict[str, Variant] = {}
    for spec, precision, kv in MODELS:
        for variant in all_for(spec, 90, precision, (), kv):
            assert found.setdefault(variant.name, variant) == variant


def test_shards_share_the_heads() -> None:
    names = {variant.name for variant in of_model(LLAMA, 90, "bf16", shards=4)}

    assert "attend_bf16_h8_2_128_plain_q8" in names
    assert "add_norm_bf16_4096_p4" in names


def test_biases_are_there_where_a_model_has_them() -> None:
    biased = replace(LLAMA, qkv_bias=True, output_bias=True)
    plain = {variant.name for variant in of_model(LLAMA, 90, "bf16")}
    names = {variant.name for variant in of_model(biased, 90, "bf16")}

    assert names - plain == {
        *(f"rope_append_bf16_h32_8_128_plain_p{parts}_bias" for parts in (1, 4)),
        *(f"add_norm_bf16_4096_p{parts}_bias" for parts in (1, 4)),
    }


@pytest.mark.parametrize(
    ("traits", "kernels"),
    [
        ({"qk_norm": "head"}, {"rope_append", "add_norm", "final_norm"}),
        ({"qk_norm": "whole"}, {"root_of_heads", "rope_append", "add_norm", "final_norm"}),
        ({"query_scale": 0.1}, {"add_norm", "final_norm"}),
        ({"activation": "gelu"}, {"activate", "add_norm", "final_norm"}),
        ({"mlp_bias": True}, {"activate", "add_norm", "final_norm"}),
        ({"logit_scale": 0.5}, {"cap_logits", "add_norm", "final_norm"}),
        ({"head_bias": True}, {"add_norm", "final_norm"}),
        ({"local": Local((1,), 512, Rope(1e4))}, {"attend", "add_norm", "final_norm"}),
        ({"local": Local((1,), 0, Rope(0))}, {"add_norm", "final_norm"}),
    ],
)
def test_a_trait_has_machine_code_of_its_own_where_it_matters(
    traits: dict[str, Any], kernels: set[str]
) -> None:
    """Of all that are unlike Llama norms have weights in float32."""
    plain = {variant.name for variant in of_model(LLAMA, 90, "bf16")}
    made = of_model(replace(LLAMA, **traits), 90, "bf16")

    assert {one.kernel.partition(":")[2] for one in made if one.name not in plain} == kernels


def test_layers_with_a_window_and_without_have_tiles_of_the_same_queries() -> None:
    """For the work of a step is divided once: with a window there are none of 64 here."""
    spec = replace(LLAMA, local=Local((1,), 512, Rope(1e4)))
    shapes = AttentionShape.each_of(spec, "bf16", "plain")

    whole, windowed = tiles_of(shapes, 90)

    assert [one.window for one in shapes] == [False, True]
    other = replace(spec, window=64, sinks=4, local=Local((1,), 0, Rope(0)))
    seen = [(one.window, one.sinks) for one in AttentionShape.each_of(other, "bf16", "plain")]
    assert seen == [(True, True), (False, False)]
    assert len(AttentionShape.each_of(replace(spec, window=64), "bf16", "plain")) == 1
    assert [v.most for v in whole] == [v.most for v in windowed] == [8, 16, 32]
    assert [v.most for v in attend(shapes[0], 90)] == [8, 16, 32, 64]


@pytest.mark.parametrize(("kv_heads", "widest"), [(8, 64), (2, 64), (4, 64), (32, 32)])
def test_a_tile_that_would_spill_is_not_there(kv_heads: int, widest: int) -> None:
    """On Hopper with 128 dims, and a KV head for each query head, or for seven."""
    spec = replace(LLAMA, kv_heads=kv_heads)
    seven = replace(LLAMA, heads=28, kv_heads=4)

    assert max(v.most or 0 for v in of_model(spec, 90, "bf16")) == widest
    assert max(v.most or 0 for v in of_model(seven, 90, "bf16")) == 32
    assert max(v.most or 0 for v in attend(AttentionShape(14, 2, 64, "bf16"), 100)) == 16
    assert max(v.most or 0 for v in attend(AttentionShape(14, 2, 64, "bf16"), 90)) == 64
    for window, softcap in [(True, False), (False, True)]:
        shape = AttentionShape(32, kv_heads, 128, "bf16", "plain", window, softcap)
        assert max(v.most or 0 for v in attend(shape, 90)) == 32


def test_a_chip_that_there_is_nothing_for_is_named() -> None:
    with pytest.raises(CompileError, match="found 75"):
        shared(75)
