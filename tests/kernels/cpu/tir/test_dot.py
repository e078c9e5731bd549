"""Tiles are cut so that their sums stay in registers."""

import pytest

from raylax.kernels.cpu.tir.dot import blocks

AVX512, AVX2, SSE = 32, 8, 4


@pytest.mark.parametrize("registers", [AVX512, AVX2, SSE])
@pytest.mark.parametrize("rows", [1, 4, 8])
@pytest.mark.parametrize("columns", [1, 2, 3, 4, 8])
def test_blocks_cover_a_tile_once_and_fit(rows: int, columns: int, registers: int) -> None:
    """Every sum belongs to one block, and half of the registers are left for operands."""
    cut = list(blocks(rows, columns, registers))
    sums = [(row, column) for block in cut for row in block.rows for column in block.columns]

    assert sorted(sums) == [(row, column) for row in range(rows) for column in range(columns)]
    assert all(len(block.rows) * len(block.columns) <= registers // 2 for block in cut)


def test_a_wide_tile_is_one_block_on_avx512() -> None:
    """Eight rows by two halves of a panel: each weight is loaded once."""
    assert len(list(blocks(8, 2, AVX512))) == 1
