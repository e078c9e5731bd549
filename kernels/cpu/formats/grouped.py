"""Weights of 8 or 4 bits in groups of 32 along K, each with a scale of its own.

Symmetric: weight = scale * (code - zero), like GGML's Q8_0 and Q4_0, but scales are bf16: they
become f32 by one shift, and small ones are not denormal. Activations are rounded to 8 bits in the
same groups. A group's sum is one of integers, hence exact; groups are added upwards
along K, each by one fma (law 1).
"""

from typing import Any

import numpy as np
from tvm.script.ir_builder import tirx as T

from raylax.kernels.bf16 import bf16_above
from raylax.kernels.cpu.formats.base import Array, RowTile, Shape, Store
from raylax.kernels.cpu.target import CPU
from raylax.kernels.cpu.tir.dot import (
    Sums,
    blocks,
    high,
    low,
)
from raylax.kernels.cpu.tir.emit import (
    Register,
    f32,
    fma,
    intrinsic,
    lanes,
    prefetch,
    splat,
)
from raylax.kernels.cpu.tir.integers import Bits, codes_of, integer_dot
from raylax.kernels.shards import GROUP, PANEL

LINE = 16  # int32 in a cache line
MOST_REGISTERS = 16  # a group's sums are integers beside the f32 ones: tiles of 4 rows are fastest


class Grouped:
    """Panels [rows / 32][k / 32][1 + lines][16] of int32: a line of 32 scales, then the codes.

    Of the codes the first half belongs to rows 0..15, a lane to a row. A lane's byte holds one
    weight of 8 bits, or one of 4 bits and the one 16 further along K in its high half.

    An activation group of a tile is [words][tile rows]: the codes, their scale, their start (what
    the unsigned weights' zero comes to).
    """

    dtype, keeps, tile_rows = "int32", None, 4

    def __init__(self, bits: Bits, cpu: CPU) -> None:
        self.bits, self.registers = bits, cpu.registers
        self.dot = integer_dot(bits, cpu)
        self.zero, self.largest = 1 << (bits - 1), (1 << (bits - 1)) - 1
        self.columns = GROUP * bits // 32  # lines of a half
        self.lines = 1 + 2 * self.columns
        self.codes = GROUP // self.dot.per  # words of a row's activation group
        self.words = self.codes + 2
        self.ahead = 16 if bits == 4 else 8

    # Weights

    def weight_shape(self, rows: int, k: int) -> Shape:
        return rows // PANEL, k // GROUP, self.lines * LINE

    def pack(self, weight: Array) -> Array:
        rows, k = weight.shape
        panels, groups = rows // PANEL, k // GROUP
        grouped = weight.reshape(rows, groups, GROUP)
        scale = bf16_above(np.abs(grouped).max(2) / np.float32(self.largest))
        step = (scale.astype(np.uint32) << 16).view(np.float32)[:, :, None]
        codes = np.rint(np.divide(grouped, step, out=np.zeros_like(grouped), where=step > 0))
        codes += self.zero
        per_byte = 8 // self.bits
        shape = (panels, 2, 16, groups, per_byte, self.columns, 4)
        parts = codes.astype(np.uint8).reshape(shape)  # panel, half, row, group, part, line, byte
        packed = parts[:, :, :, :, 0]
        if per_byte == 2:
            packed = packed | (parts[:, :, :, :, 1] << 4)
        packed = packed.transpose(0, 3, 1, 4, 2, 5).reshape(panels, groups, -1)
        scales = scale.reshape(panels, PANEL, groups).transpose(0, 2, 1)
        block = np.concatenate([np.ascontiguousarray(scales).view(np.uint8), packed], 2)
        return np.ascontiguousarray(block).view(np.int32)

    def gather(self, weight: Any, row: Any, k: int, store: Any) -> None:
        panel, lane = T.floordiv(row, PANEL), T.floormod(row, PANEL)
        half, column = T.floordiv(lane, 16), T.floormod(lane, 16)
        with T.serial(0, k // GROUP) as g:
            pair = T.Bind(weight[panel, g, T.floordiv(lane, 2)])
            scales = T.Select(T.floormod(lane, 2) > 0, high(pair), low(pair))
            scale = Register(scales, "float32")
            with T.serial(0, self.columns) as line:
                at = (1 + half * self.columns + line) * LINE + column
                word = T.Bind(weight[panel, g, at])
                for part in range(8 // self.bits):
                    for byte in range(4):
                        shift, mask = byte * 8 + part * 4, (1 << self.bits) - 1
                        code = T.bitwise_and(T.shift_right(word, T.int32(shift)), T.int32(mask))
                        value = T.cast(code - T.int32(self.zero), "float32") * scale.get()
                        store(g * GROUP + part * 16 + line * 4 + byte, value)

    # Activations

    def activation(self, tokens: int, k: int) -> tuple[Shape, str]:
        return (tokens * (k // GROUP) * self.words,), "int32"

    def store_group(self, tile: RowTile, row: Any, group: Any, pair: Any) -> None:
        step, codes = codes_of(pair)
        first = (tile.index * (tile.k // GROUP) + group) * self.words
        per_half = self.codes // 2
        for i, code in enumerate(codes):
            at = T.ramp((first + i * per_half) * tile.rows + row, tile.rows, per_half)
            tile.buffer.store(self.dot.pack(code.get()), at)
        total = intrinsic("int32", "llvm.vector.reduce.add", codes[0].get() + codes[1].get())
        at = (first + self.codes) * tile.rows + row
        tile.buffer.store(T.reinterpret("int32", step), at)
        tile.buffer.store(total * T.int32(-self.zero), at + tile.rows)

    # Their product

    def product(self, tile: RowTile, weight: Any, panel: Any, ahead: int, store: Store) -> None:
        groups, start = tile.k // GROUP, tile.first // GROUP
        parts = list(blocks(tile.rows, 2, min(self.registers, MOST_REGISTERS)))
        sums = {(r, c): Register(f32(0)) for r in range(tile.rows) for c in range(2)}
        with T.serial(0, groups) as g:
            first = T.Bind((tile.index * groups + g) * self.words)

            def scalar(row: int, index: Any) -> Any:
                return tile.buffer[(first + index) * tile.rows + row]

            for block in parts:
                if ahead and block.rows.start == 0:
                    self._prefetch(weight, panel, start + g + ahead, block.columns)
                dots = Sums(block, self.dot)
                with T.serial(0, self.columns) as line:

                    def column(half: int, line: Any = line) -> Any:
                        at = (1 + half * self.columns + line) * LINE
                        return weight[panel, start + g, lanes(at)]

                    dots.add(line, column, scalar)
                scales = {c: self._scales(weight, panel, start + g, c) for c in block.columns}
                for row, half, total in dots:
                    step, zero = (scalar(row, self.codes + i) for i in range(2))
                    both = scales[half].get() * splat(T.reinterpret("float32", step))
                    whole = T.cast(self.dot.finish(total, splat(zero)), "float32x16")
                    sums[row, half].set(fma(whole, both, sums[row, half].get()))
        for (row, half), total in sums.items():
            store(row, half, total.get())

    def _scales(self, weight: Any, panel: Any, g: Any, half: int) -> Register:
        """The scales of 16 rows, as float32x16."""
        bits = T.reinterpret("uint16x16", weight[panel, g, lanes(half * 8, 8)])
        wide = T.shift_left(T.cast(bits, "int32x16"), splat(T.int32(16)))
        return Register(T.reinterpret("float32x16", wide))

    def _prefetch(self, weight: Any, panel: Any, g: Any, halves: range) -> None:
        if halves.start == 0:
            prefetch(weight[panel, g, 0])
        for half in halves:
            for line in range(self.columns):
                prefetch(weight[panel, g, (1 + half * self.columns + line) * LINE])
