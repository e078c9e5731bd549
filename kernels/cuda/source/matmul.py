"""Products with weights: y = x @ w.T, tokens by features, bf16 or 4-bit weights, float32 sums.

The weights are the matrix unit's first operand, so a tile is features x tokens. Its second
operand may be as narrow as 8 columns: one token and a thousand use the same instruction, with the
same order along K, and no rows are wasted on a small batch.

A sum goes upwards over K in one accumulator. Where a matrix has too few rows to occupy a chip, K
is cut into `SEGMENTS` equal parts, a property of the matrix and never of the batch. A segment is
summed from zero, and the segments are added in order: by the reader of `y`, when each had a program
of its own (`APART`: y is [segments, tokens, features] float32), or else here, with the same bits.
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
def finish(y, total, bias, m, n, tokens, features, HAS_BIAS: tl.constexpr):
    """Stores a tile, features x tokens, as rows of tokens."""
    if HAS_BIAS:
        total += tl.load(bias + n).to(tl.float32)[:, None]
    at = m.to(tl.int64)[None, :] * features + n[:, None]
    tl.store(y + at, total.to(y.dtype.element_ty), mask=(m < tokens)[None, :])


@triton.jit
def linear(
    x, w, bias, y, tokens, features, depth,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, SEGMENTS: tl.constexpr,
    APART: tl.constexpr, GROUP: tl.constexpr, HAS_BIAS: tl.constexpr,
):  # fmt: skip
    """y[t, f] = sum_k x[t, k] w[f, k] (+ bias[f]). Grid: (tiles, SEGMENTS if APART else 1)."""
    pm, pn = place(tokens, features, BM, BN, GROUP)
    m, n, k = pm * BM + tl.arange(0, BM), pn * BN + tl.arange(0, BN), tl.arange(0, BK)
    xs = x + m.to(tl.int64)[None, :] * depth + k[:, None]
    ws = w + n.to(tl.int64)[:, None] * depth + k[None, :]
    here = (m < tokens)[None, :]
    part = depth // SEGMENTS
    own = tl.program_id(1) if APART else 0
    total = tl.zeros((BN, BM), tl.float32)
    for segment in range(1 if APART else SEGMENTS):
        start = (own + segment) * part
        own_sum = tl.zeros((BN, BM), tl.float32)
        for at in range(start, start + part, BK):
            own_sum = tl.dot(tl.load(ws + at), tl.load(xs + at, mask=here, other=0.0), own_sum)
        total += own_sum
    out = y + own.to(tl.int64) * tokens * features if APART else y
    finish(out, total, bias, m, n, tokens, features, HAS_BIAS)


@triton.jit
def gated(
    x, w, y, tokens, features, depth,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    """y = silu(x @ gate.T) * (x @ up.T); w holds the rows of gate, then those of up."""
    pm, pn = place(tokens, features, BM, BN, GROUP)
    m, n, k = pm * BM + tl.arange(0, BM), pn * BN + tl.arange(0, BN), tl.arange(0, BK)
    xs = x + m.to(tl.int64)[None, :] * depth + k[:, None]
    gates = w + n.to(tl.int64)[:, None] * depth + k[None, :]
    ups = gates + features.to(tl.int64) * depth
    here = (m < tokens)[None, :]
    gate = tl.zeros((BN, BM), tl.float32)
    up = tl.zeros((BN, BM), tl.float32)
    for at in range(0, depth, BK):
        value = tl.load(xs + at, mask=here, other=0.0)
        gate = tl.dot(tl.load(gates + at), value, gate)
        up = tl.dot(tl.load(ups + at), value, up)
    finish(y, silu(gate) * up, y, m, n, tokens, features, False)


@triton.jit
def silu(x):
    return x / (1.0 + tl.exp2(x * -1.4426950408889634))


@triton.jit
def plane(words, scale, shift):
    """Digits `shift` .. `shift + 4` of words as weights: (digit - 8) * scale, in bf16.

    0x4300 is bf16's 128, whose last mantissa bit weighs 1: a digit in its low bits is 128 + digit.
    """
    digits = ((words >> shift) & 15 | 0x4300).to(tl.int16).to(tl.bfloat16, bitcast=True)
    return (digits - 136.0).to(tl.bfloat16) * scale


@triton.jit
def linear4(
    x, words, scales, bias, y, tokens, features, depth,
    BM: tl.constexpr, BN: tl.constexpr, WORDS: tl.constexpr, SPAN: tl.constexpr,
    SEGMENTS: tl.constexpr, APART: tl.constexpr, GROUP: tl.constexpr, HAS_BIAS: tl.constexpr,
):  # fmt: skip
    """As `linear`, of 4-bit weights with a bf16 scale for each group of consecutive inputs.

    Eight planes of WORDS consecutive inputs share an int32: word i of a block holds, in digit j,
    the weight of input j * WORDS + i. A plane then is a tile of weights, and nothing is shuffled.
    One scale serves SPAN planes: a group has WORDS * SPAN inputs.
    """
    pm, pn = place(tokens, features, BM, BN, GROUP)
    m, n, i = pm * BM + tl.arange(0, BM), pn * BN + tl.arange(0, BN), tl.arange(0, WORDS)
    row = n.to(tl.int64)
    xs = x + m.to(tl.int64)[None, :] * depth + i[:, None]
    packed = words + row[:, None] * tl.multiple_of(depth // 8, 8) + i[None, :]
    scaled = scales + row * (depth // (WORDS * SPAN))
    here = (m < tokens)[None, :]
    part = depth // SEGMENTS
    own = tl.program_id(1) if APART else 0
    total = tl.zeros((BN, BM), tl.float32)
    for segment in range(1 if APART else SEGMENTS):
        start = (own + segment) * part
        own_sum = tl.zeros((BN, BM), tl.float32)
        for at in range(start, start + part, WORDS * 8):
            word = tl.load(packed + tl.multiple_of(at // 8, WORDS))
            for j in tl.static_range(8):
                scale = tl.load(scaled + at // (WORDS * SPAN) + j // SPAN)
                value = tl.load(xs + at + j * WORDS, mask=here, other=0.0)
                own_sum = tl.dot(plane(word, scale[:, None], j * 4), value, own_sum)
        total += own_sum
    out = y + own.to(tl.int64) * tokens * features if APART else y
    finish(out, total, bias, m, n, tokens, features, HAS_BIAS)
