"""What draft heads compute between products: a token's embedding and a feature of the one before
become what a layer reads, and what it comes to the feature of the next step; residual blocks of
Medusa's; and logits of few tokens among all.

One program has whole rows, as in `pointwise.py`.
"""

import triton
import triton.language as tl

from raylax.kernels.cuda.source.matmul import silu
from raylax.kernels.cuda.source.pointwise import added, normed

THE_ROW, WHAT_IS_READ = tl.constexpr(1), tl.constexpr(2)


@triton.jit
def take(
    parts, bias, weight, hidden, y, tokens, width, stride, eps,
    PARTS: tl.constexpr, HAS_BIAS: tl.constexpr, NORM: tl.constexpr, KEPT: tl.constexpr,
    WIDTH: tl.constexpr,
):  # fmt: skip
    """y = rows as a product reads them, behind a norm if NORM. Grid: (tokens,).

    A row is the sum of parts [PARTS, tokens, width] float32 (+ bias): of a product, or one part
    that are the rows themselves. Rows of y lie `stride` numbers apart. hidden [tokens, width]
    float32 stays what it is, or becomes THE_ROW or WHAT_IS_READ.
    """
    token, at = tl.program_id(0).to(tl.int64), tl.arange(0, WIDTH)
    here = at < width
    value = added(parts, bias, tokens, token, width, at, here, PARTS, HAS_BIAS)
    result = value
    if NORM:
        result = normed(value, weight, at, here, width, eps)
    if KEPT == THE_ROW:
        tl.store(hidden + token * width + at, value, mask=here)
    if KEPT == WHAT_IS_READ:
        tl.store(hidden + token * width + at, result, mask=here)
    tl.store(y + token * stride + at, result.to(y.dtype.element_ty), mask=here)


@triton.jit
def go_on(
    hidden, parts, weight, rows, y, states, tokens, width, eps,
    PARTS: tl.constexpr, NORM: tl.constexpr, BEHIND: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Of rows of hidden + the sum of `parts`, which stay as they are: y, what logits are made of,
    behind a norm if NORM, and states, what the next step goes on from. Grid: (rows,).

    states: [rows, width] float32, BEHIND the norm or before it. A row of -1 is nobody's: its y and
    states stay as they are.
    """
    own, at = tl.program_id(0).to(tl.int64), tl.arange(0, WIDTH)
    token = tl.load(rows + own).to(tl.int64)
    here = (at < width) & (token >= 0)
    value = tl.load(hidden + token * width + at, mask=here, other=0.0)
    value += added(parts, weight, tokens, token, width, at, here, PARTS, False)
    result = value
    if NORM:
        result = normed(value, weight, at, here, width, eps)
    tl.store(y + own * width + at, result.to(y.dtype.element_ty), mask=here)
    if BEHIND:
        value = result
    tl.store(states + own * width + at, value, mask=here)


@triton.jit
def residual(
    hidden, parts, bias, y, tokens, width, PARTS: tl.constexpr, WIDTH: tl.constexpr
):  # fmt: skip
    """hidden += silu(the sum of `parts` + bias); y = that for a product. Grid: (tokens,)."""
    token, at = tl.program_id(0).to(tl.int64), tl.arange(0, WIDTH)
    here = at < width
    value = tl.load(hidden + token * width + at, mask=here, other=0.0)
    value += silu(added(parts, bias, tokens, token, width, at, here, PARTS, True))
    tl.store(hidden + token * width + at, value, mask=here)
    tl.store(y + token * width + at, value.to(y.dtype.element_ty), mask=here)


@triton.jit
def spread(named, places, logits, few, stride, BLOCK: tl.constexpr):
    """logits[row, t] = named[row, places[t]], -inf for a token without a place, which is -1.
    Grid: (rows, blocks of the stride).

    named: [rows, few], logits: [rows, stride], float32; places: [stride] int32.
    """
    row, token = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    place = tl.load(places + token, mask=token < stride, other=-1)
    value = tl.load(named + row * few + place, mask=place >= 0, other=float("-inf"))
    tl.store(logits + row * stride + token, value, mask=token < stride)
