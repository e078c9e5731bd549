"""Words for emitting TIR with the IRBuilder: registers, scratch, exact arithmetic.

Python loops are the metaprogramming; every multiply-add is an explicit fma, so that no compiler
decides about rounding (law 1).
"""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

Expr = Any  # TVM's expressions are untyped in Python

LANES = 16

# Polynomial of 2^x on [-0.5, 0.5], degree 5, highest power first: 2e-7 relative.
EXP2 = (1.340043217e-3, 9.676037098e-3, 5.550327214e-2, 2.402210736e-1, 6.931472067e-1, 1.0)


@contextlib.contextmanager
def function(name: str) -> Iterator[IRBuilder]:
    """Open a PrimFunc; the builder's `get()` gives it after the block."""
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(name)
        T.func_attr({"tirx.noalias": True})
        yield builder


@contextlib.contextmanager
def imported(*codes: str) -> Iterator[None]:
    """Makes the functions of some LLVM IR known to the calls inside; each text once.

    Every function of a library is compiled alone and brings its own: the linker keeps one.
    """
    with contextlib.ExitStack() as stack:
        for code in sorted(set(codes) - {""}):
            shared = re.sub("^define ", "define linkonce_odr ", code, flags=re.MULTILINE)
            stack.enter_context(T.attr(T.int32(0), "pragma_import_llvm", shared))
        yield


def splat(value: Expr) -> Expr:
    """A scalar in every lane of a vector."""
    return T.broadcast(value, LANES)


def f32(value: float) -> Expr:
    """A constant, as float32x16."""
    return splat(T.float32(value))


def lanes(base: Expr, count: int = LANES) -> Expr:
    """The index of `count` neighbours from `base` on: loads and stores of vectors take it."""
    return T.ramp(base, 1, count)


def in_64_bits(index: Expr) -> Expr:
    """An index, or one of neighbours, as int64."""
    if isinstance(index, int):
        return T.int64(index)
    if isinstance(index, tirx.Ramp):
        wide = T.cast(index.base, "int64"), T.cast(index.stride, "int64")
        return T.ramp(*wide, index.lanes)
    return T.cast(index, "int64")


def intrinsic(dtype: str, name: str, *args: Expr) -> Expr:
    """A call of one of LLVM's functions without side effects."""
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


def scratch(size: int, dtype: str = "float32") -> Expr:
    """A stack buffer of one task, beyond the 1024 bytes of plain allocations."""
    on_stack = {"disable_lower_builtin": True}
    return T.alloc_buffer((size,), dtype, scope="global", annotations=on_stack)


def prefetch(element: Expr) -> None:
    """Ask for a cache line; an address past the end of the buffer is harmless."""
    zero, near, data = T.int32(0), T.int32(3), T.int32(1)
    T.evaluate(T.call_llvm_intrin("void", "llvm.prefetch", T.address_of(element), zero, near, data))


def exp2(x: Expr) -> Expr:
    """2**x for x <= 0: exactly 1 at 0 and exactly 0 below -126: masked keys weigh nothing.
    NaN for NaN, which a maximum would lose."""
    clamped = T.Select(x < f32(-126), f32(-126), x)
    whole = intrinsic("float32x16", "llvm.nearbyint", clamped)
    part, value = clamped - whole, f32(EXP2[0])
    for coefficient in EXP2[1:]:
        value = fma(value, part, f32(coefficient))
    power = T.shift_left(T.cast(whole, "int32x16") + splat(T.int32(127)), splat(T.int32(23)))
    return T.Select(x < f32(-126), f32(0), value * T.reinterpret("float32x16", power))
