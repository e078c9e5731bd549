"""Weights kept as floats, one by one: what f32, bf16 and f16 share."""

from typing import Any

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.formats.base import RowTile, Shape, Store
from raylax.kernels.cpu.tir.dot import (
    Block,
    Dot,
    Sums,
    blocks,
    sums_along,
)
from raylax.kernels.cpu.tir.emit import lanes, prefetch
from raylax.kernels.shards import GROUP, PANEL

LINE = 16
"""Elements of a cache line: all are of 4 bytes."""


class Dense:
    """Panels [rows / 32][k / depth][words]: each row of a panel is two columns of the dot."""

    tile_rows = 8
    words = PANEL
    """Elements of a row of a panel."""

    def __init__(self, dot: Dot, registers: int) -> None:
        self.dot, self.registers = dot, registers

    def weight_shape(self, rows: int, k: int) -> Shape:
        return rows // PANEL, k // self.dot.depth, self.words

    def activation(self, tokens: int, k: int) -> tuple[Shape, str]:
        return (tokens * k // self.dot.per,), self.dot.dtype

    def store_group(self, tile: RowTile, row: Any, group: Any, pair: Any) -> None:
        dot = self.dot
        for i, value in enumerate(pair):
            first = tile.index * (tile.k // dot.per) + (group * GROUP + i * 16) // dot.per
            at = T.ramp(first * tile.rows + row, tile.rows, 16 // dot.per)
            tile.buffer.store(dot.pack(value.get()), at)

    def product(self, tile: RowTile, weight: Any, panel: Any, ahead: int, store: Store) -> None:
        dot, width = self.dot, self.words // 2
        start = tile.first // dot.depth

        def scalar(row: int, index: Any) -> Any:
            first = tile.index * (tile.k // dot.per)
            return tile.buffer[(first + index) * tile.rows + row]

        def column(half: int, step: Any) -> Any:
            return weight[panel, start + step, lanes(half * width, width)]

        def fetch(half: int, step: Any) -> None:
            if ahead and half * width % LINE == 0:
                prefetch(weight[panel, start + step + ahead, half * width])

        parts = list(blocks(tile.rows, 2, self.registers))
        sums = Sums(Block(range(tile.rows), range(2)), dot)
        sums_along(tile.k // dot.depth, parts, sums, column, scalar, fetch)
        for row, half, total in sums:
            store(row, half, total)
