"""Weights of 8 or 4 bits in groups along K, each with a scale of its own, and perhaps an offset.

Those that we make of floats are like GGML's Q8_0 and Q4_0, but scales are bf16: they become f32 by
one shift. Which scales and codes says `kernels/cpu/rounding.py`. What files have in such groups is
kept as it is, of whatever `Kind`. Activations are rounded to 8 bits in groups of 32. A group's sum
is one of integers, hence exact; groups are added upwards along K, each by one fma, and one more for
the offset, which the sum of the group's activations meets (law 1).
"""

from typing import Any

import numpy as np
from tvm.script.ir_builder import tirx as T

from raylax.kernels.bf16 import to_bf16
from raylax.kernels.checkpoints.base import Blocks
from raylax.kernels.checkpoints.groups import Groups, Kind, own
from raylax.kernels.cpu.blocks import are_finite, in_panels
from raylax.kernels.cpu.formats.base import Array, RowTile, Shape, Store
from raylax.kernels.cpu.formats.scales import Scales
from raylax.kernels.cpu.rounding import EIGHT, FOUR, round_groups
from raylax.kernels.cpu.target import CPU
from raylax.kernels.cpu.tir.dot import Sums, blocks
from raylax.kernels.cpu.tir.emit import Register, f32, fma, intrinsic, lanes, prefetch, splat
from raylax.kernels.cpu.tir.integers import Bits, codes_of, e2m1, integer_dot
from raylax.kernels.errors import CompileError
from raylax.kernels.shards import GROUP, PANEL

LINE = 16  # int32 in a cache line
MOST_REGISTERS = 16  # a group's sums are integers beside the f32 ones: tiles of 4 rows are fastest


class Grouped:
    """Panels [rows / 32][blocks][lines * 16] of int32: a block has the scales of one or some
    groups, see `scales.py`, then their codes.

    Of a group's codes the first half belongs to rows 0..15, a lane to a row. A lane's byte holds
    one weight of 8 bits, or one of 4 bits and the one 16 further along K in its high half.

    An activation group of a tile is [words][tile rows]: the codes; their step; where the sum of
    integers starts, if not at 0 (what the unsigned weights' zero comes to); and for offsets the sum
    of the activations.
    """

    dtype, tile_rows = "int32", 4

    def __init__(self, kind: Kind, cpu: CPU) -> None:
        self.name, self.keeps = str(kind), kind
        self.kind, self.registers = kind, cpu.registers
        self.dot, self.scales = integer_dot(kind.bits, cpu, kind.table), Scales(kind, cpu)
        self.columns = GROUP * kind.bits // 32  # lines of a half
        self.lines = self.scales.lines + self.scales.span * 2 * self.columns  # of a block
        self.codes = GROUP // self.dot.per  # words of a row's activation group
        self.start = self.dot.bias - kind.zero  # times the sum of the codes: of the integers
        self.words = self.codes + 1 + bool(self.start) + bool(kind.offset)
        self.ahead = 16 if kind.bits == 4 else 8

    # Weights

    def weight_shape(self, rows: int, k: int) -> Shape:
        return rows // PANEL, -(-k // (GROUP * self.scales.span)), self.lines * LINE

    def pack(self, weight: Array | Groups | Blocks) -> Array:
        """Of f32, for which the kind must be our own, or of groups of this kind, or blocks that are
        such. Raises CompileError for what is not finite."""
        if isinstance(weight, Blocks):
            check_finite(are_finite(weight))
            return in_panels(weight, self.kind, self.lines * LINE)
        groups = weight if isinstance(weight, Groups) else rounded(weight, self.kind.bits)
        assert groups.kind == self.kind
        check_finite(groups.are_finite)
        rows, span = len(groups.codes), self.scales.span
        words = np.ascontiguousarray(groups.codes).view(np.int32)
        words = words.reshape(rows // PANEL, 2, 16, -1, self.columns).transpose(0, 3, 1, 4, 2)
        panels, count = words.shape[:2]
        scales = self.scales.place(groups)
        out = np.zeros((panels, scales.shape[1], self.lines * LINE), np.int32)
        head = self.scales.lines * LINE
        out[:, :, :head] = scales
        codes = out[:, :, head:].reshape(panels, -1, span, 2, self.columns, 16)
        whole = count // span
        codes[:, :whole] = words[:, : whole * span].reshape(panels, whole, *codes.shape[2:])
        if left := count % span:
            codes[:, whole, :left] = words[:, whole * span :]
        return out

    def gather(self, weight: Any, row: Any, k: int, store: Any) -> None:
        panel, lane = T.floordiv(row, PANEL), T.floormod(row, PANEL)
        half, column = T.floordiv(lane, 16), T.floormod(lane, 16)
        with T.serial(0, k // GROUP) as g:
            block, inner = self._block_of(g)
            read = lambda at: weight[panel, block, at]  # noqa: E731
            value_of = self.scales.of_row(read, inner, lane)
            with T.serial(0, self.columns) as line:
                at = self._codes_at(inner) + (half * self.columns + line) * LINE + column
                word = T.Bind(weight[panel, block, at])
                for part in range(8 // self.kind.bits):
                    for byte in range(4):
                        shift, mask = byte * 8 + part * 4, (1 << self.kind.bits) - 1
                        code = T.bitwise_and(T.shift_right(word, T.int32(shift)), T.int32(mask))
                        if self.kind.table:
                            code = T.bitwise_and(e2m1(code, T.int32), T.int32(0xFF))
                        value = value_of(T.cast(code, "float32"))
                        store(g * GROUP + part * 16 + line * 4 + byte, value)

    def _block_of(self, group: Any) -> tuple[Any, Any]:
        """The block of a group, and which of its groups it is."""
        if self.scales.span == 1:
            return group, 0
        return T.floordiv(group, self.scales.span), T.floormod(group, self.scales.span)

    def _codes_at(self, inner: Any) -> Any:
        return (self.scales.lines + inner * 2 * self.columns) * LINE

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
        summed = intrinsic("int32", "llvm.vector.reduce.add", codes[0].get() + codes[1].get())
        total = Register(summed, "int32")
        after = [T.reinterpret("int32", step)]
        if self.start:
            after.append(total.get() * T.int32(self.start))
        if self.kind.offset:
            after.append(T.reinterpret("int32", T.cast(total.get(), "float32") * step))
        for i, word in enumerate(after):
            tile.buffer.store(word, (first + self.codes + i) * tile.rows + row)

    # Their product

    def product(self, tile: RowTile, weight: Any, panel: Any, ahead: int, store: Store) -> None:
        groups, start = tile.k // GROUP, tile.first // GROUP
        parts = list(blocks(tile.rows, 2, min(self.registers, MOST_REGISTERS)))
        sums = {(r, c): Register(f32(0)) for r in range(tile.rows) for c in range(2)}
        with T.serial(0, groups) as g:
            first = T.Bind((tile.index * groups + g) * self.words)
            block, inner = (T.Bind(one) for one in self._block_of(start + g))

            def scalar(row: int, index: Any) -> Any:
                return tile.buffer[(first + index) * tile.rows + row]

            def read(at: Any) -> Any:
                return weight[panel, block, at]

            for part in parts:
                if ahead and part.rows.start == 0:
                    self._prefetch(read, inner, ahead, part.columns)
                dots = Sums(part, self.dot)
                with T.serial(0, self.columns) as line:

                    def column(half: int, line: Any = line) -> Any:
                        at = self._codes_at(inner) + (half * self.columns + line) * LINE
                        return read(lanes(at))

                    dots.add(line, column, scalar)
                scales = {c: self.scales.of_rows(read, inner, c) for c in part.columns}
                for row, half, total in dots:
                    self._add(sums[row, half], total, *scales[half], lambda i, r=row: scalar(r, i))
        for (row, half), total in sums.items():
            store(row, half, total.get())

    def _add(
        self, total: Register, integers: Any, scale: Register, offset: Register | None, word: Any
    ) -> None:
        """A group's sum to those before it; word(index) of the row's activations."""
        step = splat(T.reinterpret("float32", word(self.codes)))
        start = splat(word(self.codes + 1)) if self.start else None
        whole = T.cast(self.dot.finish(integers, start), "float32x16")
        total.set(fma(whole, scale.get() * step, total.get()))
        if offset is not None:
            activations = splat(T.reinterpret("float32", word(self.words - 1)))
            total.set(fma(offset.get(), activations, total.get()))

    def _prefetch(self, read: Any, inner: Any, ahead: int, halves: range) -> None:
        """What is read `ahead` groups from here: blocks follow each other."""
        span, lines = self.scales.span, self.scales.lines
        there = ahead // span * self.lines * LINE
        if halves.start == 0:
            share = -(-lines // span)  # of the block's scales, for each of its groups
            for line in range(share):
                prefetch(read(there + (inner * share + line) * LINE))
        for half in halves:
            for line in range(self.columns):
                at = self._codes_at(inner) + (half * self.columns + line) * LINE
                prefetch(read(there + at))


def check_finite(are_finite: bool) -> None:
    """Raises CompileError if scales are not."""
    if not are_finite:
        raise CompileError("scales and minima of groups must be finite, found some that are not")


def rounded(weight: Array, bits: Bits) -> Groups:
    """f32[rows, columns] as groups of our own kind. Raises CompileError for what is not finite."""
    rows = len(weight)
    made = round_groups(weight.reshape(-1, GROUP), FOUR if bits == 4 else EIGHT)
    return Groups(own(bits), made.codes.reshape(rows, -1), to_bf16(made.scales).reshape(rows, -1))
