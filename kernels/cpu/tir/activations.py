"""What is done to each unit of an MLP, sixteen at a time."""

from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.tir.emit import Expr, Register, exp2, f32, fma, splat
from raylax.kernels.spec import Activation

LOG2_E = 1.4426950408889634
ERF = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
"""Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: within 1.5e-7."""


def activated(activation: Activation, x: Expr, slope: float = 1.0) -> Expr:
    """Of float32x16. `x` is read several times. `slope`: of the sigmoid of silu."""
    match activation:
        case "silu":
            return silu(x, slope)
        case "gelu":
            return gelu(x)
        case "gelu_tanh":
            return gelu_tanh(x)
        case "relu2":
            positive = Register(T.max(x, f32(0)))
            return positive.get() * positive.get()


def silu(x: Expr, slope: float = 1.0) -> Expr:
    """x * sigmoid(slope * x), from 2**(-|x| slope log2 e), which cannot overflow."""
    e = Register(exp2(minus_magnitude(x) * f32(LOG2_E * slope)))
    top = T.Select(x < f32(0), e.get(), f32(1))
    return x * (top / (f32(1) + e.get()))


def gelu(x: Expr) -> Expr:
    """x times the normal distribution up to it: https://arxiv.org/abs/1606.08415."""
    at = Register(minus_magnitude(x) * f32(0.5**0.5))
    t = Register(f32(1) / fma(at.get(), f32(-0.3275911), f32(1)))
    series = Register(f32(ERF[0]))
    for coefficient in ERF[1:]:
        series.set(fma(series.get(), t.get(), f32(coefficient)))
    beyond = Register(series.get() * t.get() * exp2(at.get() * at.get() * f32(-LOG2_E)))
    half = Register(f32(0.5) * beyond.get())  # of the distribution, on the far side of |x|
    return x * T.Select(x < f32(0), half.get(), f32(1) - half.get())


def gelu_tanh(x: Expr) -> Expr:
    """The same by a tanh, as GPT-2 has it."""
    cube = Register(x * x * x)
    inner = Register((x + f32(0.044715) * cube.get()) * f32(0.7978845608028654))
    return f32(0.5) * x * (f32(1) + tanh(inner.get()))


def tanh(x: Expr) -> Expr:
    """From 2**(-2 |x| log2 e), which cannot overflow."""
    e = Register(exp2(minus_magnitude(x) * f32(2 * LOG2_E)))
    size = Register((f32(1) - e.get()) / (f32(1) + e.get()))
    return T.Select(x < f32(0), f32(0) - size.get(), size.get())


def at_most(x: Expr, limit: float) -> Expr:
    """NaN remains what it is."""
    return T.Select(x > f32(limit), f32(limit), x)


def at_least(x: Expr, limit: float) -> Expr:
    """The same from below."""
    return T.Select(x < f32(limit), f32(limit), x)


def minus_magnitude(x: Expr) -> Expr:
    """-|x|."""
    signed = T.bitwise_or(T.reinterpret("int32x16", x), splat(T.int32(-(2**31))))
    return T.reinterpret("float32x16", signed)
