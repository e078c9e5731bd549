"""The definition of a draw over vectors of TIR: its own functions, line for line.

Each product is fenced, so that no compiler makes one rounding of a product and a sum, as it may
wherever the CPU has an instruction for that; and what wraps around is left to functions that may.
"""

from typing import Any, Self

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.target import CPU
from raylax.kernels.cpu.tir.emit import Expr, Register, intrinsic, splat
from raylax.kernels.draws.definition import SHARED
from raylax.kernels.draws.operators import rebound

WRAPPING_IR = "".join(
    f"""
define <16 x i32> @raylax_wrapping_{name}(<16 x i32> %a, <16 x i32> %b) alwaysinline {{
  %r = {name} <16 x i32> %a, %b
  ret <16 x i32> %r
}}
"""
    for name in ("add", "mul")
)
"""TVM promises LLVM of its own sums and products that they do not wrap around."""
EXACT_BITS = 41
"""Floats below 2^41 become integers of 64 bits by their bits, where the CPU has no instruction."""


def constant(value: float, dtype: str) -> Expr:
    return splat(getattr(T, dtype)(value))


class Number:
    """16 numbers in a register, with the operators that the definition is written over."""

    def __init__(self, value: Expr, dtype: str) -> None:
        self.dtype = dtype
        self.register = Register(value, f"{dtype}x16")

    @property
    def value(self) -> Expr:
        return self.register.get()

    def _of(self, other: Any) -> Expr:
        return other.value if isinstance(other, Number) else constant(other, self.dtype)

    def _made(self, value: Expr) -> Self:
        return type(self)(value, self.dtype)

    def _wrapping(self, name: str, other: Any) -> Self:
        called = f"raylax_wrapping_{name}", self.value, self._of(other)
        return self._made(T.call_pure_extern(f"{self.dtype}x16", *called))

    def __add__(self, other: Any) -> Self:
        if self.dtype == "uint32":
            return self._wrapping("add", other)
        return self._made(self.value + self._of(other))

    def __sub__(self, other: Any) -> Self:
        return self._made(self.value - self._of(other))

    def __rsub__(self, other: Any) -> Self:
        return self._made(self._of(other) - self.value)

    def __mul__(self, other: Any) -> Self:
        if self.dtype == "uint32":
            return self._wrapping("mul", other)
        return self._made(fenced(self.value * self._of(other), self.dtype))

    def __neg__(self) -> Self:
        return self._made(constant(-0.0, self.dtype) - self.value)

    def __xor__(self, other: Any) -> Self:
        return self._made(T.bitwise_xor(self.value, self._of(other)))

    def __or__(self, other: Any) -> Self:
        return self._made(T.bitwise_or(self.value, self._of(other)))

    def __rshift__(self, count: int) -> Self:
        return self._made(T.shift_right(self.value, self._of(count)))

    def __lshift__(self, count: int) -> Self:
        return self._made(T.shift_left(self.value, self._of(count)))

    def __lt__(self, other: Any) -> Expr:
        return self.value < self._of(other)


def fenced(product: Expr, dtype: str = "float32", lanes: int = 16) -> Expr:
    """A product that is rounded before anything is added to it."""
    kind = f"{dtype}x{lanes}" if lanes > 1 else dtype
    return intrinsic(kind, "llvm.arithmetic.fence", product)


def where(condition: Expr, x: Any, y: Any) -> Number:
    one = x if isinstance(x, Number) else y
    return Number(T.Select(condition, one._of(x), one._of(y)), one.dtype)


def maximum(x: Number, y: Any) -> Number:
    other = x._of(y)
    return Number(T.Select(x.value > other, x.value, other), x.dtype)


def converted(x: Number, dtype: str) -> Number:
    return Number(T.cast(x.value, f"{dtype}x16"), dtype)


def of_bits(x: Number, dtype: str) -> Number:
    return Number(T.reinterpret(f"{dtype}x16", x.value), dtype)


def to_float(x: Number) -> Number:
    return converted(x, "float32")


def to_int(x: Number) -> Number:
    return converted(x, "int32")


def from_bits(x: Number) -> Number:
    return of_bits(x, "float32")


def to_bits(x: Number) -> Number:
    return of_bits(x, "int32")


def shifted_to_long(x: Number) -> Number:
    """Of floats from 0 to below 2^41 what lies before the point."""
    bits = of_bits(x, "int32")
    part = T.bitwise_or(
        T.bitwise_and(bits.value, splat(T.int32(0x7FFFFF))), splat(T.int32(1 << 23))
    )
    whole = T.shift_left(T.cast(part, "int64x16"), splat(T.int64(EXACT_BITS - 24)))
    less = splat(T.int32(126 + EXACT_BITS)) - T.shift_right(bits.value, splat(T.int32(23)))
    less = T.min(less, splat(T.int32(63)))
    return Number(T.shift_right(whole, T.cast(less, "int64x16")), "int64")


def definition(cpu: CPU) -> dict[str, Any]:
    """`SHARED` of the definition, by name, for code that runs on this CPU."""

    def to_long(x: Number) -> Number:
        if x.dtype != "float32" or cpu.has("avx512dq"):
            return converted(x, "int64")
        return shifted_to_long(x)

    operators = {
        "where": where, "maximum": maximum, "to_float": to_float, "to_int": to_int,
        "to_long": to_long, "to_bits": to_bits, "from_bits": from_bits,
    }  # fmt: skip
    return rebound(SHARED, operators, __name__, lambda one: one, lambda value: value)
