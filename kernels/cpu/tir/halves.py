"""f16 read as f32, exactly: by the CPU's own conversion, or by integers where it has none."""

from typing import Any

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.tir.emit import Expr, splat


def f16s(words: Expr, native: bool) -> Expr:
    """int32x8 of two f16 each, the first in the low half -> float32x16. `native`: whether the CPU
    converts them."""
    if native:
        return T.cast(T.reinterpret("float16x16", words), "float32x16")
    return from_bits(T.cast(T.reinterpret("uint16x16", words), "int32x16"), splat, "float32x16")


def f16_at(at: Any, word: Expr, index: Expr) -> Expr:
    """The f16 of this index among those that begin at a word: at(word) -> int32."""
    return from_bits(halves_at(at, word, index), lambda one: one, "float32")


def halves_at(at: Any, word: Expr, index: Expr) -> Expr:
    """Its 16 bits, as an int32."""
    pair = at(word + T.floordiv(index, 2))
    return T.bitwise_and(T.shift_right(pair, T.floormod(index, 2) * 16), T.int32(0xFFFF))


def from_bits(bits: Expr, many: Any, dtype: str) -> Expr:
    """The f32 of f16 bits in int32. Exponents differ by 112; what is beyond them in f16 stays."""
    size = T.shift_left(T.bitwise_and(bits, many(T.int32(0x7FFF))), many(T.int32(13)))
    number = T.reinterpret(dtype, size) * many(T.float32(2.0**112))
    beyond = T.reinterpret(dtype, T.bitwise_or(size, many(T.int32(0x7F800000))))
    sign = T.shift_left(T.bitwise_and(bits, many(T.int32(0x8000))), many(T.int32(16)))
    whole = T.Select(size >= many(T.int32(0x7C00 << 13)), beyond, number)
    integer = dtype.replace("float", "int")
    return T.reinterpret(dtype, T.bitwise_or(T.reinterpret(integer, whole), sign))
