"""Sums of products of small integers: exact in any order, so that every CPU has the same bits.

Weights are unsigned bytes, four neighbours along K in an int32 lane. Activations are signed bytes,
kept as the instruction of the CPU wants to meet them.
"""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from tvm.script.ir_builder import tirx as T

from raylax.kernels.checkpoints.groups import TABLES, Table
from raylax.kernels.cpu.target import CPU
from raylax.kernels.cpu.tir.dot import Dot
from raylax.kernels.cpu.tir.emit import (
    Expr,
    Register,
    intrinsic,
    lanes,
    scratch,
    splat,
)
from raylax.kernels.cpu.tir.instructions import (
    AVX2_IR,
    AVX512_IR,
    LOOKUPS,
    PLAIN_IR,
    SDOT,
    USDOT,
    VNNI_256,
    VNNI_512,
    lookup,
)

Bits = Literal[4, 8]
LookUp = Callable[[Expr], Expr]
"""int32x16 of bytes, and what they stand for."""


class IntegerDot(Dot, Protocol):
    """A Dot of int32x16 whose sums are int32, once they are finished."""

    bias: int
    """What it takes off each weight, for its instruction's sake: whoever wants the sum without
    starts it at the sum of the activations times this."""

    def finish(self, total: Expr, start: Expr | None) -> Expr:
        """The whole sum, int32x16: start + total. None: it starts at 0."""
        ...


def nibbles(column: Expr) -> list[Expr]:
    """Eight weights of 4 bits in a lane -> the first four as bytes, the last four as bytes."""
    mask = splat(T.int32(0x0F0F0F0F))
    words = Register(column, "int32x16")
    high = T.shift_right(words.get(), splat(T.int32(4)))
    return [T.bitwise_and(part, mask) for part in (words.get(), high)]


def e2m1(codes: Expr, constant: Callable[[int], Expr]) -> Expr:
    """What codes stand for in the table of this name, in every byte of int32: by arithmetic, where
    no instruction looks them up. Numbers 1.5 and beyond grow in steps of 1, 2 and 4."""
    ones = constant(0x01010101)
    low = T.bitwise_and(codes, constant(0x07070707))
    both = T.bitwise_and(T.bitwise_and(low, T.shift_right(low, constant(1))), ones)
    large = T.bitwise_and(T.shift_right(low, constant(2)), ones) * constant(255)
    more = T.bitwise_and(low, constant(0x03030303)) + both * constant(2)
    size = low + T.bitwise_and(more, large)
    above, below = constant(0x0C0C0C0C) + size, constant(0x0C0C0C0C) - size
    sign = T.bitwise_and(T.shift_right(codes, constant(3)), ones) * constant(255)
    return T.bitwise_xor(above, T.bitwise_and(T.bitwise_xor(above, below), sign))


class Bytes:
    """What the dots share: columns of 8 bit, or of two times 4 bit, which may stand for others in
    a table; int32 sums."""

    depth, dtype, bias = 4, "int32", 0

    def __init__(self, bits: Bits, code: str, look_up: LookUp | None = None) -> None:
        self.bits, self.code, self._look_up = bits, code, look_up

    def zero(self) -> Register:
        return Register(splat(T.int32(0)), "int32x16")

    def columns(self, column: Expr) -> list[Expr]:
        if self.bits == 8:
            return [column]
        if self._look_up is None:
            return nibbles(column)
        return [self._look_up(Register(one, "int32x16").get()) for one in nibbles(column)]

    def finish(self, total: Expr, start: Expr | None) -> Expr:
        return total if start is None else total + start


class Quads(Bytes):
    """Activations as they are: four signed bytes in an int32."""

    per = 4

    def pack(self, vector: Expr) -> Expr:
        return T.reinterpret("int32x4", T.cast(vector, "int8x16"))

    def scalars(self, step: Expr) -> list[Expr]:
        return [step] if self.bits == 8 else [step, step + 4]

    def operands(self, column: Expr) -> list[Expr]:
        return self.columns(column)


class Dots(Quads):
    """One instruction: four products, unsigned by signed, and their sum."""

    def multiply_add(self, total: Register, scalar: Expr, operand: Expr) -> None:
        called = ("raylax_dot", total.get(), operand, splat(scalar))
        total.set(T.call_pure_extern("int32x16", *called))


class SignedDots(Dots):
    """One instruction for signed bytes. 4 bits fit; of 8 bits the middle is taken off."""

    def __init__(self, bits: Bits, code: str, look_up: LookUp | None = None) -> None:
        super().__init__(bits, code, look_up)
        self.bias = 0 if bits == 4 else 128

    def columns(self, column: Expr) -> list[Expr]:
        if self.bits == 4:
            return super().columns(column)
        signed = T.bitwise_xor(column, splat(T.int32(-0x7F7F7F80)))  # 0x80 in every byte
        return [Register(signed, "int32x16").get()]


class Nibbles(Quads):
    """Pairs are summed in 16 bits, which hold a group of 4 bit weights (8 * 2 * 15 * 127)."""

    def multiply_add(self, total: Register, scalar: Expr, operand: Expr) -> None:
        called = ("raylax_maddubs", total.get(), operand, splat(scalar))
        total.set(T.call_pure_extern("int32x16", *called))

    def finish(self, total: Expr, start: Expr | None) -> Expr:
        ones, zero = splat(T.int32(0x00010001)), splat(T.int32(0))
        begun = zero if start is None else start
        return T.call_pure_extern("int32x16", "raylax_madd", begun, total, ones)


class Words(Bytes):
    """Weights widened to 16 bits, activations kept so: bytes 0 and 2 of a lane, then 1 and 3."""

    per = 2

    def pack(self, vector: Expr) -> Expr:
        words = scratch(16, "int32")
        T.buffer_store(words, vector, [lanes(0)])
        mask, sixteen = T.broadcast(T.int32(0xFFFF), 4), T.broadcast(T.int32(16), 4)

        def pairs(first: int) -> Expr:
            low, high = (words[T.ramp(first + at, 4, 4)] for at in (0, 2))
            return T.bitwise_or(T.bitwise_and(low, mask), T.shift_left(high, sixteen))

        packed = scratch(8, "int32")
        for first in range(2):
            T.buffer_store(packed, pairs(first), [T.ramp(first, 2, 4)])
        return packed[lanes(0, 8)]

    def scalars(self, step: Expr) -> list[Expr]:
        first = [step * 2, step * 2 + 1]
        return first if self.bits == 8 else [*first, *(index + 8 for index in first)]

    def operands(self, column: Expr) -> list[Expr]:
        wide = []
        for part in self.columns(column):
            words = Register(part, "int32x16")
            pairs = T.reinterpret("uint16x32", words.get())
            odd = T.reinterpret("int32x16", T.shift_right(pairs, T.broadcast(T.uint16(8), 32)))
            wide += [T.bitwise_and(words.get(), splat(T.int32(0x00FF00FF))), odd]
        return [Register(one, "int32x16").get() for one in wide]

    def multiply_add(self, total: Register, scalar: Expr, operand: Expr) -> None:
        called = ("raylax_madd", total.get(), operand, splat(scalar))
        total.set(T.call_pure_extern("int32x16", *called))


def integer_dot(bits: Bits, cpu: CPU, table: Table = "") -> IntegerDot:
    """The fastest dot of integers that a CPU has. `table`: what codes of 4 bits stand for."""
    more, look_up = looked_up_by(table, cpu) if table else ("", None)
    for feature, code in (("avx512vnni", VNNI_512), ("avxvnni", VNNI_256), ("i8mm", USDOT)):
        if cpu.has(feature):
            return Dots(bits, code + more, look_up)
    if cpu.has("dotprod"):
        return SignedDots(bits, SDOT + more, look_up)
    if cpu.has("avx2"):
        code = AVX512_IR if cpu.has("avx512bw") else AVX2_IR
        small = bits == 4 and not table  # what a table has is too large for 16 bits
        return Nibbles(bits, code) if small else Words(bits, code + more, look_up)
    return Words(bits, PLAIN_IR + more, look_up)


def looked_up_by(table: Table, cpu: CPU) -> tuple[str, LookUp]:
    """LLVM IR, and what emits its call."""
    for feature, (instruction, lanes_of) in LOOKUPS.items():
        if cpu.has(feature):
            code = lookup(instruction, lanes_of, TABLES[table][0])
            return code, lambda codes: T.call_pure_extern("int32x16", "raylax_lookup", codes)
    return "", lambda codes: e2m1(codes, lambda value: splat(T.int32(value)))


class Rounding:
    """Numbers to 8 bit codes by the largest magnitude among them: see all, settle, take codes.

    Magnitudes are compared by their bits, among which those of NaN are the largest: so the step of
    what is not finite is not finite, either.
    """

    def __init__(self) -> None:
        self._largest = Register(splat(T.int32(0)), "int32x16")

    def see(self, vector: Expr) -> None:
        """Takes a float32x16 into account."""
        sign = splat(T.int32(0x7FFFFFFF))
        size = T.bitwise_and(T.reinterpret("int32x16", vector), sign)
        self._largest.set(T.max(self._largest.get(), size))

    def settle(self) -> Expr:
        """The step, float32: the largest magnitude / 127."""
        bits = intrinsic("int32", "llvm.vector.reduce.smax", self._largest.get())
        step = Register(T.reinterpret("float32", bits) * T.float32(1 / 127), "float32")
        zero, one = T.float32(0), T.float32(1)
        self._inverse = Register(T.Select(step.get() > zero, one / step.get(), zero), "float32")
        return step.get()

    def codes(self, vector: Expr) -> Register:
        """The codes of a vector: int32x16 in -127..127."""
        whole = intrinsic("float32x16", "llvm.nearbyint", vector * splat(self._inverse.get()))
        return Register(T.cast(whole, "int32x16"), "int32x16")


def codes_of(vectors: Sequence[Register]) -> tuple[Expr, list[Register]]:
    """Registers of float32x16 -> their step and their codes."""
    rounding = Rounding()
    for vector in vectors:
        rounding.see(vector.get())
    step = rounding.settle()
    return step, [rounding.codes(vector.get()) for vector in vectors]
