"""Which machine code a product has, and which is chosen."""

import pytest

from raylax.kernels.cuda.formats import NAMES, quantization_named
from raylax.kernels.cuda.formats.grouped import Grouped
from raylax.kernels.cuda.matrix_unit import UNITS
from raylax.kernels.cuda.variants.products import (
    DIGITS,
    Matrix,
    choose,
    grid,
    parts,
    variants,
)
from raylax.kernels.cuda.variants.segments import segments_of
from raylax.kernels.errors import CompileError
from tests.support.cuda_products import known

O = Matrix(4096, 4096, 4)  # noqa: E741
GATE_UP = Matrix(14336, 4096)


@pytest.mark.parametrize("chip", UNITS)
def test_names_are_unique_on_every_chip(chip: int) -> None:
    names = [
        variant.name
        for precision in ("bf16", "f16")
        for variant in variants(chip, precision, tuple(DIGITS))
    ]

    assert len(set(names)) == len(names)


@pytest.mark.parametrize("chip", UNITS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_every_format_has_its_products(name: str, dtype: str, chip: int) -> None:
    """With the constants of its packing."""
    q = quantization_named(name, dtype)
    for form in (q.layers, q.head):
        linear = choose(chip, f"linear_{form.name}", 1, O)
        gated = choose(chip, f"gated_{form.name}", 1, GATE_UP)
        for variant in (linear, gated):
            assert known(form).items() <= variant.constants.items()
            assert variant.kernel.startswith("quant") == isinstance(form, Grouped)
            assert q.precision in variant.name


@pytest.mark.parametrize(
    ("kernel", "tokens", "matrix", "name", "programs"),
    [
        ("linear_bf16", 1, O, "m8", (64, 4)),
        ("linear_bf16", 9, O, "m16", (64, 4)),
        ("linear_bf16", 64, O, "m64", (32, 4)),
        ("linear_bf16", 65, O, "m128_walk", (32, 1)),
        ("linear_bf16", 2048, Matrix(4096, 4096), "m128", (16 * 32, 1)),
        ("linear_bf16", 1, Matrix(128256, 4096), "m8", (2004, 1)),
        ("gated_f16", 2048, GATE_UP, "m128", (16 * 224, 1)),
        ("linear_q4_g32_bf16", 65, O, "m64_walk", (2 * 64, 1)),
        ("gated_fp8_g128_bf16", 300, GATE_UP, "m64", (5 * 224, 1)),
    ],
)
def test_the_narrowest_tile_that_takes_the_batch(
    kernel: str, tokens: int, matrix: Matrix, name: str, programs: tuple[int, int]
) -> None:
    """A batch too large for one tile walks the segments itself."""
    variant = choose(90, kernel, tokens, matrix)

    assert variant.name == f"{kernel}_{name}"
    assert grid(variant, tokens, matrix) == programs
    assert parts(variant, matrix) == programs[1]


def test_dequantising_has_a_program_for_tiles_of_rows_and_blocks() -> None:
    variant = choose(80, "dequantise_q4_g128_f16", 1, Matrix(4096, 1056))

    assert grid(variant, 1, Matrix(4096, 1056)) == (64, 9)


@pytest.mark.parametrize(
    ("kernel", "matrix", "rule"),
    [
        ("linear_bf16", Matrix(4096, 4104), "multiples of 16, 16 in each of 1 segments; found"),
        ("linear_bf16", Matrix(4096, 4112, 4), "multiples of 64, 16 in each of 4"),
        ("linear_q4_g32_bf16", Matrix(4096, 320, 4), "multiples of 512, 128 in each of 4"),
        ("linear_f16", Matrix(50257, 4096), "rows are multiples of 16 .* found 50257 rows"),
        ("gated_f16", O, "has no segments, found 4"),
        ("linear_q3_bf16", O, "no product linear_q3_bf16 for chip 90"),
        ("linear", O, "no product linear for"),
    ],
)
def test_a_matrix_that_a_kernel_cannot_multiply_is_refused(
    kernel: str, matrix: Matrix, rule: str
) -> None:
    with pytest.raises(CompileError, match=rule):
        choose(90, kernel, 1, matrix)


def test_an_unknown_chip_is_refused() -> None:
    for ask in (lambda: variants(75, "bf16"), lambda: segments_of(64, 64, 75)):
        with pytest.raises(CompileError, match="chips are 80, .* found 75"):
            ask()


@pytest.mark.parametrize(
    ("features", "depth", "segments"),
    [(6144, 4096, 4), (4096, 4096, 4), (4096, 14336, 4), (128256, 4096, 1), (1152, 896, 1)],
)
def test_segments_occupy_the_chip_at_batch_1(features: int, depth: int, segments: int) -> None:
    """Llama 3.1 8B's qkv, o, down and head; 896 inputs are 7 blocks, which 4 do not divide."""
    found = segments_of(features, depth, 90)

    assert found == segments
    assert depth % (found * 128) == 0


def test_chips_that_add_alike_cut_alike() -> None:
    """So that their bits are the same."""
    for features in range(64, 24576, 64):
        cuts = {(UNITS[chip], segments_of(features, 4096, chip)) for chip in UNITS}
        assert len(cuts) == len(set(UNITS.values())), features
