"""Blocks of 256 numbers as GGUF files have them, K-quants by name, decoded to f32.

A block is 16 times 16 small integers; each sixteen has a scale, some a minimum, which are small
integers themselves, times an f16 of the block. A number times its scale is exact in f32, so what
is added is the only thing that is rounded, and all CPUs have the bits of llama.cpp's own package.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.tir.block_loop import Block, BlockType, Sixteens
from raylax.kernels.cpu.tir.emit import Expr, Register, fma, splat

NUMBERS = 256
"""Of a block."""


class Sixteen(NamedTuple):
    """Some numbers of a block."""

    codes: Expr
    """uint8x16."""
    outer: Register
    """f32, an f16 of the block."""
    inner: Expr
    """int32, that it is multiplied with."""
    minimum: tuple[Register, Expr] | None = None
    """The same two of what is subtracted."""
    zero: int = 0
    """The code of 0."""


def q2_k(block: Block) -> Callable[[int], Sixteen]:
    scale, minimum = block.half(80), block.half(82)

    def of(n: int) -> Sixteen:
        both = block.byte(n)
        inner = T.bitwise_and(both, T.int32(15)), T.shift_right(both, T.int32(4))
        codes = block.bits(16 + pair(n), n % 8 // 2 * 2, 3)
        return Sixteen(codes, scale, inner[0], (minimum, inner[1]))

    return of


def q3_k(block: Block) -> Callable[[int], Sixteen]:
    scale = block.half(108)

    def of(n: int) -> Sixteen:
        low = T.bitwise_and(T.shift_right(block.byte(96 + n % 8), T.int32(n // 8 * 4)), T.int32(15))
        high = T.shift_right(block.byte(104 + n % 4), T.int32(n // 4 * 2))
        inner = low + T.shift_left(T.bitwise_and(high, T.int32(3)), T.int32(4)) - T.int32(32)
        codes = block.bits(32 + pair(n), n % 8 // 2 * 2, 3)
        codes = T.bitwise_or(codes, block.bits(n % 2 * 16, n // 2, 1, up=2))
        return Sixteen(codes, scale, inner, zero=4)

    return of


def q4_k(block: Block) -> Callable[[int], Sixteen]:
    levels = two_levels(block)
    return lambda n: Sixteen(nibbles(block, 16, n), *levels(n))


def q5_k(block: Block) -> Callable[[int], Sixteen]:
    levels = two_levels(block)

    def of(n: int) -> Sixteen:
        fifth = block.bits(16 + n % 2 * 16, n // 2, 1, up=4)
        return Sixteen(T.bitwise_or(nibbles(block, 48, n), fifth), *levels(n))

    return of


def q6_k(block: Block) -> Callable[[int], Sixteen]:
    scale = block.half(208)

    def of(n: int) -> Sixteen:
        half, i = n // 8, n % 8 // 2
        low = block.bits(half * 64 + i % 2 * 32 + n % 2 * 16, i // 2 * 4, 15)
        high = block.bits(128 + pair(n), i * 2, 3, up=4)
        inner = T.shift_right(T.shift_left(block.byte(192 + n), T.int32(24)), T.int32(24))
        return Sixteen(T.bitwise_or(low, high), scale, inner, zero=32)

    return of


def pair(n: int) -> int:
    """Where the bits of a sixteen lie: 32 bytes have some of each of 128 numbers."""
    return n // 8 * 32 + n % 2 * 16


def nibbles(block: Block, at: int, n: int) -> Expr:
    """32 bytes have two sixteens in their low halves, and two in the high ones."""
    return block.bits(at + n // 4 * 32 + n % 2 * 16, n // 2 % 2 * 4, 15)


def two_levels(block: Block) -> Callable[[int], tuple[Register, Expr, tuple[Register, Expr]]]:
    """Scale and minimum of Q4_K and Q5_K, for two sixteens at a time: 6 bits each, of which the
    last four have their high ones elsewhere."""
    scale, minimum = block.half(0), block.half(2)

    def of(n: int) -> tuple[Register, Expr, tuple[Register, Expr]]:
        group = n // 2
        inner = []
        for first, shift in ((4, 0), (8, 4)):
            if group < 4:
                inner.append(T.bitwise_and(block.byte(first + group), T.int32(63)))
                continue
            low = T.bitwise_and(T.shift_right(block.byte(8 + group), T.int32(shift)), T.int32(15))
            high = T.shift_right(block.byte(first + group - 4), T.int32(6))
            inner.append(T.bitwise_or(low, T.shift_left(high, T.int32(4))))
        return scale, inner[0], (minimum, inner[1])

    return of


def values(one: Sixteen) -> Expr:
    """float32x16."""
    whole = T.cast(one.codes, "int32x16")
    if one.zero:
        whole = whole - splat(T.int32(one.zero))
    numbers, scale = T.cast(whole, "float32x16"), splat(times(one.outer, one.inner))
    if one.minimum is None:
        return numbers * scale
    return fma(numbers, scale, splat(T.float32(-1) * times(*one.minimum)))


def times(outer: Register, inner: Expr) -> Expr:
    """Exact."""
    return outer.get() * T.cast(inner, "float32")


def in_f32(of: Callable[[Block], Callable[[int], Sixteen]]) -> Sixteens:
    """float32x16 of each of a block's sixteens."""

    def numbers(block: Block) -> Callable[[int], Expr]:
        sixteens = of(block)
        return lambda n: values(sixteens(n))

    return numbers


TYPES = {
    "Q2_K": BlockType(84, NUMBERS, in_f32(q2_k)),
    "Q3_K": BlockType(110, NUMBERS, in_f32(q3_k)),
    "Q4_K": BlockType(144, NUMBERS, in_f32(q4_k)),
    "Q5_K": BlockType(176, NUMBERS, in_f32(q5_k)),
    "Q6_K": BlockType(210, NUMBERS, in_f32(q6_k)),
}


def emitted(name: str) -> Any:
    """The PrimFunc run(count, bytes[count * size], f32[count * 256])."""
    return TYPES[name].emitted("decode", "float32")
