"""Machine code that breaks a rule is refused in a line with the kernel, chip, rule and value."""

from dataclasses import replace
from typing import Any

import pytest

from raylax.kernels.cuda.cubins.chips import CHIPS, chip_named
from raylax.kernels.cuda.cubins.facts import Facts
from raylax.kernels.cuda.cubins.reading import Reading, Structure
from raylax.kernels.cuda.cubins.rules import broken, broken_together
from raylax.kernels.errors import CompileError

HGMMA, HMMA, UTCHMMA = "HGMMA.64x8x16.F32.BF16", "HMMA.16816.F32.BF16", "UTCHMMA"
READING = Reading(40, 0, 0, 400, {HGMMA: 8}, {}, {})
STRUCTURE = Structure(1, 0, (), 0)
GOOD = Facts(
    "digest", "matmul:linear", "raylax_x", (), (), {}, 128, 90_000, 0, 0, "sha", READING, STRUCTURE
)
ROWS = "tensor<4096xf32, #ttg.blocked<{warpsPerCTA = [8]}>>"
OTHER_ROWS = "tensor<4096xf32, #ttg.blocked<{warpsPerCTA = [4]}>>"
NARROW_ROWS = "tensor<2048xf32, #ttg.blocked<{warpsPerCTA = [4]}>>"


def but(**changes: Any) -> Facts:
    """The good one, with changes to any of its parts."""
    reading = {k: v for k, v in changes.items() if hasattr(READING, k)}
    structure = {k: v for k, v in changes.items() if hasattr(STRUCTURE, k)}
    own = {k: v for k, v in changes.items() if k not in {**reading, **structure}}
    return replace(
        GOOD,
        reading=replace(READING, **reading),
        structure=replace(STRUCTURE, **structure),
        **own,
    )


@pytest.mark.parametrize(
    ("number", "matrix"),
    [(80, HMMA), (86, HMMA), (89, HMMA), (90, HGMMA), (100, UTCHMMA), (103, UTCHMMA), (120, HMMA)],
)
def test_each_chip_has_its_own_matrix_instruction(number: int, matrix: str) -> None:
    chip = CHIPS[number]

    assert broken("x", chip, but(matrix={matrix: 8})) == []
    for other in {HGMMA, HMMA, UTCHMMA} - {matrix}:
        name = matrix.partition(".")[0]
        assert broken("x", chip, but(matrix={matrix: 8, other: 1})) == [
            f"x for sm_{number}: products of tiles must be {name} instructions, found {other}"
        ]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (but(overlapped=True), "who may be started early must wait before it reaches global mem"),
        (but(scratch=128), "scratch memory must be 0 bytes, found 128"),
        (but(spills=3, stack=8), "nothing may be spilled from registers, found 3 accesses and 8 b"),
        (but(stack=8), "nothing may be spilled from registers, found 0 accesses and 8 bytes"),
        (but(shared=232_449), "shared memory must be at most 232448 bytes, found 232449"),
        (but(registers=255, threads=512), "must have room for a program, found 255 registers"),
        (but(columns=1024), "and 1024 columns of tensor memory"),
        (but(matrix={}), "must be HGMMA instructions, found none of the matrix unit's"),
        (but(cut=2), "floats must not be cut to tf32, found 2"),
        (but(float_sums=(ROWS,)), f"no floats may be summed across threads, found {ROWS}"),
        (
            but(products=0, matrix={}, float_sums=(ROWS, OTHER_ROWS)),
            f"in one layout, found {ROWS}; {OTHER_ROWS}",
        ),
        (but(float_atomics=1), "floats must not be summed in memory, found 1"),
    ],
)
def test_a_broken_rule_is_named(facts: Facts, said: str) -> None:
    (line,) = broken("linear_m8", CHIPS[90], facts)

    assert line.startswith("linear_m8 for sm_90: ")
    assert said in line


def test_what_keeps_the_rules_passes() -> None:
    norm = but(products=0, matrix={}, float_sums=(ROWS,))

    assert broken("x", CHIPS[90], GOOD) == []
    assert broken("x", CHIPS[90], norm) == []
    assert broken("x", CHIPS[90], but(shared=232_448)) == []


def test_variants_of_a_kernel_sum_in_one_layout() -> None:
    """Of rows of one width: which variant a step takes must not show."""
    norm = but(kernel="pointwise:add_norm", float_sums=(ROWS,))
    sums = {
        "p1": norm,
        "p4": replace(norm, structure=replace(STRUCTURE, float_sums=(OTHER_ROWS,))),
        "narrow": replace(norm, structure=replace(STRUCTURE, float_sums=(NARROW_ROWS,))),
        "other": replace(GOOD, structure=replace(STRUCTURE, float_sums=(OTHER_ROWS,))),
    }

    assert broken_together(CHIPS[90], {n: f for n, f in sums.items() if n != "p4"}) == []
    (line,) = broken_together(CHIPS[90], sums)
    assert line == (
        "p1 and p4 for sm_90: variants of pointwise:add_norm must sum floats across threads in one "
        f"layout, found {ROWS} and {OTHER_ROWS}"
    )


@pytest.mark.parametrize(
    ("number", "registers", "shared", "threads", "columns", "programs"),
    [
        (90, 40, 92_160, 128, 0, 2),
        (90, 110, 131_072, 256, 0, 1),
        (90, 113, 8_192, 512, 0, 1),
        (90, 31, 0, 128, 0, 16),
        (120, 33, 0, 128, 0, 12),
        (86, 16, 0, 32, 0, 16),
        (89, 128, 49_152, 128, 0, 2),
        (100, 56, 1_024, 128, 256, 2),
        (80, 56, 200_000, 128, 0, 0),
    ],
)
def test_how_many_programs_a_multiprocessor_has_room_for(
    number: int, registers: int, shared: int, threads: int, columns: int, programs: int
) -> None:
    assert CHIPS[number].at_once(registers, shared, threads, columns) == programs


def test_an_unknown_chip_is_named() -> None:
    assert chip_named("sm_103") is CHIPS[103]
    with pytest.raises(CompileError, match=r"kernels for sm_80 \(A100\), .*; found 'sm_75'"):
        chip_named("sm_75")
