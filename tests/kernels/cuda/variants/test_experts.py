"""Which machine code models with experts have, and how a step's pairs are laid into tiles."""

from dataclasses import replace

import pytest

from raylax.kernels.cuda.cubins.chips import CHIPS
from raylax.kernels.cuda.formats import NAMES, quantization_named
from raylax.kernels.cuda.variants.experts import (
    Tiling,
    into_units,
    of_model,
    out_of_units,
    rows_of_tile,
    tiles,
)
from raylax.kernels.cuda.variants.table import all_for
from raylax.kernels.errors import CompileError
from raylax.kernels.spec import Experts
from tests.support.cuda_models import MODELS
from tests.support.cuda_products import known

QWEN3 = replace(MODELS[0][0], experts=Experts(128, 8, 768, normalised=True), intermediate=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("chip", CHIPS)
def test_every_format_has_its_products_on_every_chip(name: str, chip: int) -> None:
    """By the same tiles into units and out of them, with the constants of its packing."""
    form = quantization_named(name, "bfloat16").experts
    kind = "packed " * bool(known(form))
    both = [[one.tokens for one in tiles(chip, kind + way)] for way in ("gated", "linear")]
    assert both[0] == both[1] and both[0][0] == 8

    for rows in both[0]:
        made = into_units(chip, form.name, "silu", rows), out_of_units(chip, form.name, rows)
        for one in made:
            assert known(form).items() <= one.constants.items()
            assert one.kernel.endswith("_q") == bool(known(form))


def test_a_model_has_them_in_the_format_of_its_experts() -> None:
    """And an MLP beside them leaves as many parts as its sums have, or one of each rank."""
    made = {one.name for one in all_for(QWEN3, 90, "bf16", (), of_experts="fp4_g32_bf16")}
    beside = replace(QWEN3, intermediate=512)

    assert made >= {
        "route_e128_8_normalised", "sort_experts", "blend_experts_8_p0",
        "experts_into_fp4_g32_bf16_m8", "experts_out_fp4_g32_bf16_m8",
    }  # fmt: skip
    assert not any(name.startswith("experts_into_bf16") for name in made)
    blends = [
        {one.name for one in of_model(beside, 90, "bf16", shards) if "blend" in one.name}
        for shards in (1, 2)
    ]
    assert blends == [{"blend_experts_8_p1", "blend_experts_8_p4"}, {"blend_experts_8_p1"}]
    assert not [*of_model(MODELS[0][0], 90, "bf16")]


def test_what_no_kernel_is_made_for_is_refused() -> None:
    many = replace(QWEN3, experts=Experts(4097, 8, 768))

    with pytest.raises(CompileError, match="at most 4096 experts, found 4097"):
        [*of_model(many, 90, "bf16")]
    with pytest.raises(CompileError, match="found 75"):
        tiles(75, "gated")


@pytest.mark.parametrize("rows", [8, 32, 64])
@pytest.mark.parametrize("experts", [1, 3, 128])
def test_tiles_are_as_few_as_both_ways_to_count_them_leave(rows: int, experts: int) -> None:
    """And enough however pairs fall: all to one expert, or evenly."""
    for pairs in range(1, 700, 7):
        tiling = Tiling.of(rows, pairs, experts)

        assert tiling.most == min(pairs, pairs // rows + experts)
        spread = [pairs // experts + (e < pairs % experts) for e in range(experts)]
        for each in (spread, [pairs, *[0] * (experts - 1)]):
            assert sum(-(-own // rows) for own in each) <= tiling.most


@pytest.mark.parametrize(
    ("tokens", "rows"), [(1, 8), (8, 8), (64, 8), (65, 64), (512, 64), (8192, 64)]
)
def test_tiles_are_as_wide_as_experts_have_tokens(tokens: int, rows: int) -> None:
    assert QWEN3.experts is not None
    assert rows_of_tile(90, "bf16", tokens, QWEN3.experts) == rows
    assert rows_of_tile(80, "q4_g32_bf16", tokens, QWEN3.experts) == min(rows, 32)
