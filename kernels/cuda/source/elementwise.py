"""What is done to each number of a product by itself: the units of an MLP, and logits.

An MLP whose gates are of silu, and which has no biases, has all of it in `matmul.gated`.
"""

import triton
import triton.language as tl

from raylax.kernels.cuda.source.matmul import silu
from raylax.kernels.cuda.source.pointwise import added

SILU, GELU, GELU_TANH, RELU2 = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2), tl.constexpr(3)
"""Values of `ACTIVATION`."""
LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def tanh(x):
    """From 2**(-2 |x| log2 e), which cannot overflow."""
    e = tl.exp2(tl.abs(x) * (-2.0 * LOG2_E))
    size = (1.0 - e) / (1.0 + e)
    return tl.where(x < 0.0, -size, size)


@triton.jit
def gelu(x):
    """x times the normal distribution up to it, https://arxiv.org/abs/1606.08415, by Abramowitz and
    Stegun, Handbook of Mathematical Functions, 7.1.26: within 1.5e-7."""
    at = tl.abs(x) * 0.7071067811865476
    t = 1.0 / (1.0 + 0.3275911 * at)
    series = (((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t
    far = 0.5 * ((series + 0.254829592) * t * tl.exp2(at * at * -LOG2_E))
    return x * tl.where(x < 0.0, far, 1.0 - far)


@triton.jit
def gelu_tanh(x):
    """The same by a tanh, as GPT-2 has it."""
    return 0.5 * x * (1.0 + tanh((x + 0.044715 * (x * x * x)) * 0.7978845608028654))


@triton.jit
def activated(x, ACTIVATION: tl.constexpr):
    if ACTIVATION == SILU:
        result = silu(x)
    elif ACTIVATION == GELU:
        result = gelu(x)
    elif ACTIVATION == GELU_TANH:
        result = gelu_tanh(x)
    else:
        positive = tl.where(x < 0.0, 0.0, x)  # NaN remains what it is
        result = positive * positive
    return result


@triton.jit
def activate(
    parts, bias, y, tokens, width,
    PARTS: tl.constexpr, HAS_BIAS: tl.constexpr, GATED: tl.constexpr, ACTIVATION: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """y[t, i] = activated(the sum of `parts` (+ bias)), times what it gates. Grid: (tokens, blocks
    of the width).

    y: [tokens, width]; parts: [PARTS, tokens, width] float32 or, GATED, [PARTS, tokens, 2 width],
    gates before what they gate; the bias as its rows.
    """
    token, at = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    here = at < width
    row = width * 2 if GATED else width
    unit = added(parts, bias, tokens, token, row, at, here, PARTS, HAS_BIAS)
    unit = activated(unit, ACTIVATION)
    if GATED:
        unit *= added(
            parts + width, bias + width, tokens, token, row, at, here, PARTS, HAS_BIAS
        )  # fmt: skip
    tl.store(y + token * width + at, unit.to(y.dtype.element_ty), mask=here)


@triton.jit
def cap_logits(logits, scale, softcap, stride, CAPPED: tl.constexpr, BLOCK: tl.constexpr):
    """logits *= scale, and then softcap * tanh(logits / softcap) if CAPPED. Grid: (rows, blocks of
    the stride)."""
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    place = logits + tl.program_id(0).to(tl.int64) * stride + at
    value = tl.load(place, mask=at < stride, other=0.0) * scale
    if CAPPED:
        value = softcap * tanh(value / softcap)
    tl.store(place, value, mask=at < stride)
