"""Words for emitting TIR with the IRBuilder: registers, scratch, exact arithmetic, bf16 pairs.

Python loops are the metaprogramming; every multiply-add is an explicit fma, so that no compiler
decides about rounding (law 1).
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

Expr = Any  # TVM's expressions are untyped in Python

LANES = 16

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

# Polynomial of 2^x on [-0.5, 0.5], degree 5, highest power first: 2e-7 relative.
EXP2 = (1.340043217e-3, 9.676037098e-3, 5.550327214e-2, 2.402210736e-1, 6.931472067e-1, 1.0)


@contextlib.contextmanager
def function(name: str) -> Iterator[IRBuilder]:
    """Open a PrimFunc; the builder's `get()` gives it after the block."""
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(name)
        T.func_attr({"tirx.noalias": True})
        yield builder


def splat(value: Expr) -> Expr:
    return T.broadcast(value, LANES)


def f32(value: float) -> Expr:
    return splat(T.float32(value))


def lanes(base: Expr, count: int = LANES) -> Expr:
    return T.ramp(base, 1, count)


def intrinsic(dtype: str, name: str, *args: Expr) -> Expr:
    return T.call_llvm_pure_intrin(dtype, name, *args)


def fma(a: Expr, b: Expr, c: Expr, dtype: str = "float32x16") -> Expr:
    """a * b + c in one rounding."""
    return intrinsic(dtype, "llvm.fma", a, b, c)


class Register:
    """One value kept in a register. Scope 'global' and below 1024 bytes, or it is spilled."""

    def __init__(self, initial: Expr, dtype: str = "float32x16") -> None:
        self.buffer = T.alloc_buffer((1,), dtype, scope="global")
        self.set(initial)

    def set(self, value: Expr) -> None:
        T.buffer_store(self.buffer, value, [0])

    def get(self) -> Expr:
        return self.buffer[0]


def zeros(count: int) -> list[Register]:
    return [Register(f32(0)) for _ in range(count)]


def scratch(size: int, dtype: str = "float32") -> Expr:
    """A stack buffer of one task, beyond the 1024 bytes of plain allocations."""
    on_stack = {"disable_lower_builtin": True}
    return T.alloc_buffer((size,), dtype, scope="global", annotations=on_stack)


def prefetch(element: Expr) -> None:
    """Ask for a cache line; an address past the end of the buffer is harmless."""
    zero, near, data = T.int32(0), T.int32(3), T.int32(1)
    T.evaluate(T.call_llvm_intrin("void", "llvm.prefetch", T.address_of(element), zero, near, data))


def exp2(x: Expr) -> Expr:
    """2**x for x <= 0: exactly 1 at 0 and exactly 0 below -126: masked keys weigh nothing."""
    clamped = T.max(x, f32(-126))
    whole = intrinsic("float32x16", "llvm.nearbyint", clamped)
    part, value = clamped - whole, f32(EXP2[0])
    for coefficient in EXP2[1:]:
        value = fma(value, part, f32(coefficient))
    power = T.shift_left(T.cast(whole, "int32x16") + splat(T.int32(127)), splat(T.int32(23)))
    return T.Select(x < f32(-126), f32(0), value * T.reinterpret("float32x16", power))


def silu(x: Expr) -> Expr:
    """x * sigmoid(x), from 2**(-|x| log2 e), which cannot overflow. `x` is read several times."""
    minus_magnitude = T.bitwise_or(T.reinterpret("int32x16", x), splat(T.int32(-(2**31))))
    e = Register(exp2(T.reinterpret("float32x16", minus_magnitude) * f32(1.4426950408889634)))
    top = T.Select(x < f32(0), e.get(), f32(1))
    return x * (top / (f32(1) + e.get()))


def rounded_bf16(vector: Expr) -> Expr:
    """float32x16 -> uint32x16 whose high halves are the values rounded to nearest even bf16."""
    bits = T.reinterpret("uint32x16", vector)
    odd = T.bitwise_and(T.shift_right(bits, splat(T.uint32(16))), splat(T.uint32(1)))
    return bits + splat(T.uint32(0x7FFF)) + odd


def bf16_pairs(vector: Expr) -> Expr:
    """float32x16 -> int32x8, two bf16 in each, the first in the low half."""
    halves = T.cast(T.shift_right(rounded_bf16(vector), splat(T.uint32(16))), "uint16x16")
    return T.reinterpret("int32x8", halves)


def bf16_low(pair: Expr, dtype: str = "int32") -> Expr:
    """The f32 value of the low half of int32 pairs."""
    sixteen, kind = T.int32(16), "float32"
    if dtype != "int32":
        sixteen, kind = splat(sixteen), "float32x16"
    return T.reinterpret(kind, T.shift_left(pair, sixteen))


def bf16_high(pair: Expr, dtype: str = "int32") -> Expr:
    mask, kind = T.int32(-65536), "float32"
    if dtype != "int32":
        mask, kind = splat(mask), "float32x16"
    return T.reinterpret(kind, T.bitwise_and(pair, mask))


def dot_bf16(acc: Expr, a: Expr, b: Expr, native: bool) -> Expr:
    """acc + a.low * b.low + a.high * b.high for int32x16 pairs.

    VDPBF16PS adds the high (odd) product first, then the low one, each with one rounding: two
    fused multiply-adds in that order give the same bits on a CPU without the instruction.
    """
    if native:
        return T.call_pure_extern("float32x16", "raylax_dpbf16ps", acc, a, b)
    high = fma(bf16_high(a, "int32x16"), bf16_high(b, "int32x16"), acc)
    return fma(bf16_low(a, "int32x16"), bf16_low(b, "int32x16"), high)


def bf16_support(native: bool) -> contextlib.AbstractContextManager[Any]:
    """Imports the instruction's wrapper where `dot_bf16(native=True)` is used."""
    if native:
        attribute: contextlib.AbstractContextManager[Any] = T.attr(
            T.int32(0), "pragma_import_llvm", BF16_DOT_IR
        )
        return attribute
    return contextlib.nullcontext()
