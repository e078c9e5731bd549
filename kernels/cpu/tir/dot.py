"""Multiply-add of a column of lanes and a scalar: what every product here is made of.

A column holds one or two neighbours along the summed axis in each lane. Whatever the CPU has, a
sum is taken in the same order with the same roundings (law 1): VDPBF16PS adds the second (high)
product of a pair first, then the first one, each with one rounding, and so do two fused
multiply-adds in that order.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.tir.emit import (
    Expr,
    Register,
    f32,
    fma,
    splat,
)
from raylax.kernels.cpu.tir.halves import f16s

# TVM cannot express <32 x bfloat>: this LLVM IR wrapper is imported into the module and inlined.
BF16_DOT_IR = """
declare <16 x float> @llvm.x86.avx512bf16.dpbf16ps.512(<16 x float>, <32 x bfloat>, <32 x bfloat>)
define <16 x float> @raylax_dpbf16ps(<16 x float> %c, <16 x i32> %a, <16 x i32> %b) alwaysinline {
  %1 = bitcast <16 x i32> %a to <32 x bfloat>
  %2 = bitcast <16 x i32> %b to <32 x bfloat>
  %3 = tail call <16 x float> @llvm.x86.avx512bf16.dpbf16ps.512(<16 x float> %c, <32 x bfloat> %1, <32 x bfloat> %2)
  ret <16 x float> %3
}
"""  # noqa: E501


class Dot(Protocol):
    """How scalars are stored, and how they meet a column."""

    code: str
    """LLVM IR to import where it is used."""
    depth: int
    """Neighbours along the summed axis in one lane of a column."""
    dtype: str
    """The type of a stored scalar."""
    per: int
    """Neighbours in one stored scalar."""

    def zero(self) -> Register:
        """A sum of nothing, in every lane."""
        ...

    def pack(self, vector: Expr) -> Expr:
        """16 numbers along the summed axis -> 16 / per stored scalars."""
        ...

    def scalars(self, step: Expr) -> list[Expr]:
        """Indices of the stored scalars that meet column `step`, in the order of the sum."""
        ...

    def operands(self, column: Expr) -> list[Expr]:
        """A column as each of those scalars meets it."""
        ...

    def multiply_add(self, total: Register, scalar: Expr, operand: Expr) -> None:
        """total += scalar * operand, in every lane."""
        ...


class Floats:
    """Sums of f32."""

    code = ""

    def zero(self) -> Register:
        return Register(f32(0))


class F32Dot(Floats):
    """One neighbour in a lane."""

    depth, dtype, per = 1, "float32", 1

    def pack(self, vector: Expr) -> Expr:
        return vector

    def scalars(self, step: Expr) -> list[Expr]:
        return [step]

    def operands(self, column: Expr) -> list[Expr]:
        return [column]

    def multiply_add(self, total: Register, scalar: Expr, operand: Expr) -> None:
        total.set(fma(splat(scalar), operand, total.get()))


class F16Dot(F32Dot):
    """One neighbour in a lane, of f16: columns are 8 words of two lanes each."""

    def __init__(self, native: bool) -> None:
        self._native = native

    def operands(self, column: Expr) -> list[Expr]:
        return [Register(f16s(column, self._native)).get()]


class NativeBF16Dot(Floats):
    """Pairs of bf16, by the CPU's own instruction."""

    code = BF16_DOT_IR
    depth, dtype, per = 2, "int32", 2

    def pack(self, vector: Expr) -> Expr:
        return pairs_of(vector)

    def scalars(self, step: Expr) -> list[Expr]:
        return [step]

    def operands(self, column: Expr) -> list[Expr]:
        return [column]

    def multiply_add(self, total: Register, scalar: Expr, operand: Expr) -> None:
        name, both = "raylax_dpbf16ps", (splat(scalar), operand)
        total.set(T.call_pure_extern("float32x16", name, total.get(), *both))


class PlainBF16Dot(Floats):
    """Pairs of bf16 in the columns only: scalars, rounded alike, stay f32 and need no unpacking."""

    depth, dtype, per = 2, "float32", 1

    def pack(self, vector: Expr) -> Expr:
        bits = T.bitwise_and(rounded(vector), splat(T.uint32(0xFFFF0000)))
        return T.reinterpret("float32x16", bits)

    def scalars(self, step: Expr) -> list[Expr]:
        return [step * 2 + 1, step * 2]

    def operands(self, column: Expr) -> list[Expr]:
        pairs = Register(column, "int32x16")
        return [Register(half(pairs.get(), "int32x16")).get() for half in (high, low)]

    def multiply_add(self, total: Register, scalar: Expr, operand: Expr) -> None:
        total.set(fma(splat(scalar), operand, total.get()))


class BytesDot(Floats):
    """Four signed bytes in a lane, widened to f32; scalars are f32."""

    depth, dtype, per = 4, "float32", 1

    def pack(self, vector: Expr) -> Expr:
        return vector

    def scalars(self, step: Expr) -> list[Expr]:
        return [step * 4 + i for i in range(4)]

    def operands(self, column: Expr) -> list[Expr]:
        quads = Register(column, "int32x16")
        return [Register(byte_of(quads.get(), i)).get() for i in range(4)]

    def multiply_add(self, total: Register, scalar: Expr, operand: Expr) -> None:
        total.set(fma(splat(scalar), operand, total.get()))


def byte_of(quads: Expr, index: int) -> Expr:
    """int32x16 of four signed bytes -> float32x16 of one of them."""
    top = T.shift_left(quads, splat(T.int32(24 - 8 * index)))
    return T.cast(T.shift_right(top, splat(T.int32(24))), "float32x16")


def bf16_dot(native: bool) -> Dot:
    """`native`: whether the CPU has an instruction for it. Both round alike."""
    return NativeBF16Dot() if native else PlainBF16Dot()


def rounded(vector: Expr) -> Expr:
    """float32x16 -> uint32x16 whose high halves are the values rounded to nearest even bf16."""
    bits = T.reinterpret("uint32x16", vector)
    odd = T.bitwise_and(T.shift_right(bits, splat(T.uint32(16))), splat(T.uint32(1)))
    return bits + splat(T.uint32(0x7FFF)) + odd


def pairs_of(vector: Expr) -> Expr:
    """float32x16 -> int32x8, two bf16 in each, the first in the low half."""
    halves = T.cast(T.shift_right(rounded(vector), splat(T.uint32(16))), "uint16x16")
    return T.reinterpret("int32x8", halves)


def low(pair: Expr, dtype: str = "int32") -> Expr:
    """The f32 value of the low half of int32 pairs."""
    sixteen, kind = T.int32(16), "float32"
    if dtype != "int32":
        sixteen, kind = splat(sixteen), "float32x16"
    return T.reinterpret(kind, T.shift_left(pair, sixteen))


def high(pair: Expr, dtype: str = "int32") -> Expr:
    """The f32 value of the high half of int32 pairs."""
    mask, kind = T.int32(-65536), "float32"
    if dtype != "int32":
        mask, kind = splat(mask), "float32x16"
    return T.reinterpret(kind, T.bitwise_and(pair, mask))


@dataclass(frozen=True)
class Block:
    """Some rows of a tile by some of its columns: their sums are in registers together."""

    rows: range
    columns: range


def blocks(rows: int, columns: int, registers: int) -> Iterator[Block]:
    """A tile in blocks whose sums fill half of the registers (16 floats each).

    The other half is for operands. Rows come first: an operand then serves many sums.
    """
    width = min(columns, max(1, registers // 2 // rows))
    height = min(rows, registers // 2 // width)
    for column in range(0, columns, width):
        for row in range(0, rows, height):
            yield Block(
                range(row, min(row + height, rows)), range(column, min(column + width, columns))
            )


class Sums:
    """The sums of a block, while loops go along the summed axis."""

    def __init__(self, block: Block, dot: Dot) -> None:
        self.block, self.dot = block, dot
        self._totals = {(r, c): dot.zero() for r in block.rows for c in block.columns}

    def add(
        self,
        step: Expr,
        column: Callable[[int], Expr],
        scalar: Callable[[int, Expr], Expr],
        part: Block | None = None,
    ) -> None:
        """One step of some of the sums, or of all: column(c) -> its lanes, scalar(row, index) -> a
        stored scalar of that row."""
        part = part or self.block
        operands = {c: self.dot.operands(column(c)) for c in part.columns}
        for row in part.rows:
            for i, index in enumerate(self.dot.scalars(step)):
                value = scalar(row, index)
                for c in part.columns:
                    self.dot.multiply_add(self._totals[row, c], value, operands[c][i])

    def __iter__(self) -> Iterator[tuple[int, int, Expr]]:
        """(row, column, sum) of each."""
        for (row, column), total in self._totals.items():
            yield row, column, total.get()


STRIDE = 64
"""Most steps of a block before the next one takes its turn: their columns then lie in the L1."""


def sums_along(
    steps: int,
    parts: Sequence[Block],
    sums: Sums,
    column: Callable[[int, Expr], Expr],
    scalar: Callable[[int, Expr], Expr],
    fetch: Callable[[int, Expr], None],
) -> None:
    """Takes `sums` over all steps. Blocks take turns, so that memory is read at an even rate.

    column(c, step) and scalar(row, index) as for `Sums.add`; fetch(c, step) may emit a prefetch of
    what will be read later.
    """

    def along(step: Expr, c: int) -> Expr:
        return column(c, step)

    stride = steps if len(parts) == 1 else next(n for n in range(STRIDE, 0, -1) if steps % n == 0)
    with T.serial(0, steps // stride) as turn:
        for part in parts:
            with T.serial(0, stride) as i:
                step = turn * stride + i
                if part.rows.start == 0:
                    for c in part.columns:
                        fetch(c, step)
                sums.add(step, partial(along, step), scalar, part)
