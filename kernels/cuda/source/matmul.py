"""Products with weights: y = x @ w.T, tokens by features, of bf16 or f16 with float32 sums.

The weights are the matrix unit's first operand, so a tile is features x tokens. Its second
operand may be as narrow as 8 columns: one token and a thousand use the same instruction, with the
same order along K, and no rows are wasted on a small batch.

A sum goes upwards over K in one accumulator. Where a matrix has too few rows to occupy a chip, K
is cut into `segments` equal parts, a property of the matrix and never of the batch
(`cuda/variants/segments.py`). A segment is summed from zero, the first one then gets the bias, and
they are added in order: by the reader of `y`, where each has a program of its own (y is [segments,
tokens, features] float32), or here, with the same bits, where a program walks them (`WALK`).

A program beyond the last row of weights reads that row again, and stores nothing of it; beyond the
end of a segment, zeros: they change no sum. So features may be any number; `depth / segments` must
be a multiple of 16, a step of the matrix unit.
"""

import triton
import triton.language as tl


@triton.jit
def place(tokens, features, BM: tl.constexpr, BN: tl.constexpr, GROUP: tl.constexpr):
    """Of this program: its tile along tokens and along features. Groups of token tiles share a
    tile of weights while it is in the cache."""
    across = tl.cdiv(tokens, BM)
    own = tl.program_id(0)
    wide = GROUP * tl.cdiv(features, BN)
    first = own // wide * GROUP
    high = min(across - first, GROUP)
    return first + own % wide % high, own % wide // high


@triton.jit
def rows(n, features):
    """The rows of weights that a tile reads: there are always some."""
    return tl.minimum(n, features - 1).to(tl.int64)


@triton.jit
def biases(bias, n, features, segment):
    """What the first segment starts with: a column, zeros where `bias` is null."""
    there = (bias.to(tl.int64) != 0) & (segment == 0)
    return tl.load(bias + n, mask=(n < features) & there, other=0.0).to(tl.float32)[:, None]


@triton.jit
def finish(y, total, m, n, tokens, features):
    """Stores a tile, features x tokens, as rows of tokens."""
    at = m.to(tl.int64)[None, :] * features + n[:, None]
    here = (m < tokens)[None, :] & (n < features)[:, None]
    tl.store(y + at, total.to(y.dtype.element_ty), mask=here)


@triton.jit
def summed(
    xs, ws, here, k, start, stop, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr
):  # fmt: skip
    """The sum over the inputs start .. stop."""
    total = tl.zeros((BN, BM), tl.float32)
    for at in range(start, stop, BK):
        inside = k < stop - at
        w = tl.load(ws + at, mask=inside[None, :], other=0.0)
        total = tl.dot(w, tl.load(xs + at, mask=here & inside[:, None], other=0.0), total)
    return total


@triton.jit
def linear(
    x, w, bias, y, tokens, features, depth, segments,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, GROUP: tl.constexpr, WALK: tl.constexpr,
):  # fmt: skip
    """y[t, f] = sum_k x[t, k] w[f, k] + bias[f]. Grid: (tiles, 1 if WALK else segments)."""
    pm, pn = place(tokens, features, BM, BN, GROUP)
    m, n, k = pm * BM + tl.arange(0, BM), pn * BN + tl.arange(0, BN), tl.arange(0, BK)
    xs = x + m.to(tl.int64)[None, :] * depth + k[:, None]
    ws = w + rows(n, features)[:, None] * depth + k[None, :]
    here = (m < tokens)[None, :]
    own = tl.program_id(1)
    part = tl.multiple_of(depth // segments, 16)
    if WALK:
        total = tl.zeros((BN, BM), tl.float32) + biases(bias, n, features, own)
        for segment in range(segments):
            start = tl.multiple_of(segment * part, 16)
            total += summed(xs, ws, here, k, start, start + part, BM, BN, BK)
    else:
        start = tl.multiple_of(own * part, 16)
        total = summed(xs, ws, here, k, start, start + part, BM, BN, BK)
        total += biases(bias, n, features, own)
    finish(y + own.to(tl.int64) * tokens * features, total, m, n, tokens, features)


@triton.jit
def gated(
    x, w, y, tokens, features, depth,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    """y = silu(x @ gate.T) * (x @ up.T); w holds the rows of gate, then those of up."""
    pm, pn = place(tokens, features, BM, BN, GROUP)
    m, n, k = pm * BM + tl.arange(0, BM), pn * BN + tl.arange(0, BN), tl.arange(0, BK)
    xs = x + m.to(tl.int64)[None, :] * depth + k[:, None]
    gates = w + rows(n, features)[:, None] * depth + k[None, :]
    ups = gates + features.to(tl.int64) * depth
    here = (m < tokens)[None, :]
    gate = tl.zeros((BN, BM), tl.float32)
    up = tl.zeros((BN, BM), tl.float32)
    for at in range(0, depth, BK):
        inside = k < depth - at
        value = tl.load(xs + at, mask=here & inside[:, None], other=0.0)
        gate = tl.dot(tl.load(gates + at, mask=inside[None, :], other=0.0), value, gate)
        up = tl.dot(tl.load(ups + at, mask=inside[None, :], other=0.0), value, up)
    finish(y, silu(gate) * up, m, n, tokens, features)


@triton.jit
def silu(x):
    return x / (1.0 + tl.exp2(x * -1.4426950408889634))
