"""Codes of a byte each, of types of GGUF files whose groups are kept in 8 bits.

What they are says `kernels/checkpoints/gguf/groups.py`, where numpy does the same.
"""

from collections.abc import Callable
from typing import Any

from tvm.script.ir_builder import tirx as T

from raylax.kernels.checkpoints.gguf.groups import MIDDLE, TABLE
from raylax.kernels.checkpoints.groups import Bytes
from raylax.kernels.cpu.tir.block_loop import Block, BlockType, Sixteens
from raylax.kernels.cpu.tir.blocks import q3_k
from raylax.kernels.cpu.tir.emit import LANES, Expr, Register, splat


def fives(zero: int) -> Sixteens:
    """Fifth bits, four bytes of them, lie before 16 bytes with the others."""

    def of(block: Block) -> Callable[[int], Expr]:
        start = block.size - 20

        def codes(n: int) -> Expr:
            fifths = block.byte(start + 2 * n)
            fifths = T.bitwise_or(fifths, T.shift_left(block.byte(start + 2 * n + 1), T.int32(8)))
            each = T.shift_right(splat(fifths), T.ramp(T.int32(0), 1, LANES))
            fifth = T.shift_left(T.bitwise_and(each, splat(T.int32(1))), splat(T.int32(4)))
            low = T.cast(block.bits(start + 4, 4 * n, 15), "int32x16")
            return T.cast(T.bitwise_or(low, fifth) + splat(T.int32(zero)), "uint8x16")

        return codes

    return of


def of_table(table: Bytes, at: int) -> Sixteens:
    """Four bits each, 16 bytes with two sixteens, from a byte on."""

    def of(block: Block) -> Callable[[int], Expr]:
        return lambda n: picked(block.bits(at + n // 2 * 16, n % 2 * 4, 15), table)

    return of


def picked(index: Expr, table: Bytes) -> Expr:
    """uint8x16 of a table's 16 numbers: by halves of it."""
    index = Register(index, "uint8x16").get()

    def half(first: int, size: int) -> Expr:
        if size == 1:
            return splat(T.uint8(int(table[first])))
        size //= 2
        low, high = half(first, size), half(first + size, size)
        return T.Select(T.bitwise_and(index, splat(T.uint8(size))) > splat(T.uint8(0)), high, low)

    return half(0, len(table))


def products(block: Block) -> Callable[[int], Expr]:
    """Q3_K: numbers times the small integers of their sixteens, of the other sign."""
    sixteens = q3_k(block)

    def codes(n: int) -> Expr:
        one = sixteens(n)
        numbers = T.cast(one.codes, "int32x16") - splat(T.int32(one.zero))
        return T.cast(splat(T.int32(MIDDLE)) - numbers * splat(one.inner), "uint8x16")

    return codes


TYPES = {
    "Q5_0": BlockType(22, 32, fives(MIDDLE - 16)),
    "Q5_1": BlockType(24, 32, fives(0)),
    "IQ4_NL": BlockType(18, 32, of_table(TABLE, 2)),
    "IQ4_XS": BlockType(136, 256, of_table(TABLE, 8)),
    "Q3_K": BlockType(110, 256, products),
}


def emitted(name: str) -> Any:
    """The PrimFunc run(count, bytes[count * size], codes[count * numbers])."""
    return TYPES[name].emitted("codes", "uint8")
