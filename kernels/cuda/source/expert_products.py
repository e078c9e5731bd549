"""Products of experts with the rows of the tokens that have chosen them, of bf16 or f16, dense or
packed, with float32 sums: tiles and sums are those of `matmul.py` and `quantised.py`.

A program has the pairs of one tile (`experts.py`, `sort`) and some rows of its expert's matrix. All
experts' matrices lie one after the other. There are no segments: where few tokens come, there are
several experts, which occupy a chip.
"""

import triton
import triton.language as tl

from raylax.kernels.cuda.source.elementwise import LOG2_E, SILU, activated
from raylax.kernels.cuda.source.matmul import rows
from raylax.kernels.cuda.source.quantised import weights


@triton.jit
def own_tile(tiles):
    """Of this program: its expert, the place of its first pair, and how many it has."""
    tile = tiles + tl.program_id(0) * 3
    return tl.load(tile).to(tl.int64), tl.load(tile + 1), tl.load(tile + 2)


@triton.jit
def pairs_of(order, first, used, BM: tl.constexpr):
    """Those of a tile, and which of its rows are some."""
    m = tl.arange(0, BM)
    return tl.load(order + first + m, mask=m < used, other=0), m < used


@triton.jit
def with_bias(total, bias, at, here):
    """A column is added where `bias` is not null."""
    there = here & (bias.to(tl.int64) != 0)
    return total + tl.load(bias + at, mask=there, other=0.0).to(tl.float32)[:, None]


@triton.jit
def unit(gate, up, limit, slope, offset, ACTIVATION: tl.constexpr):
    """What a gated unit comes to, as `raylax.kernels.spec.Experts` says; NaN remains what it is."""
    gate = tl.where(gate > limit, limit, gate)
    up = tl.where(up > limit, limit, up)
    up = tl.where(up < -limit, -limit, up) + offset
    if ACTIVATION == SILU:
        gate = gate / (1.0 + tl.exp2(gate * (slope * -LOG2_E)))
    else:
        gate = activated(gate, ACTIVATION)
    return gate * up


@triton.jit
def keep(y, total, row, here, n, features):
    """Stores a tile, features x pairs, as rows."""
    at = row.to(tl.int64)[None, :] * features + n[:, None]
    tl.store(y + at, total.to(y.dtype.element_ty), mask=here[None, :] & (n < features)[:, None])


@triton.jit
def into_units(
    x, w, bias, y, order, tiles, features, depth, chosen, limit, slope, offset,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, ACTIVATION: tl.constexpr,
):  # fmt: skip
    """y[i] = the units of the pair order[i], from x[its token]. Grid: (tiles, tiles of features).

    x: [tokens, depth]; w: of each expert the rows of its gates, then those of what they gate, and
    so are the biases, if there are any; y: [pairs, features], in the order.
    """
    expert, first, used = own_tile(tiles)
    pair, here = pairs_of(order, first, used, BM)
    n, k = tl.program_id(1) * BN + tl.arange(0, BN), tl.arange(0, BK)
    xs = x + (pair // chosen).to(tl.int64)[None, :] * depth + k[:, None]
    gates = w + (expert * (2 * features) + rows(n, features))[:, None] * depth + k[None, :]
    ups = gates + features.to(tl.int64) * depth
    gate = tl.zeros((BN, BM), tl.float32)
    up = tl.zeros((BN, BM), tl.float32)
    for at in range(0, tl.where(used > 0, depth, 0), BK):
        inside = k < depth - at
        value = tl.load(xs + at, mask=here[None, :] & inside[:, None], other=0.0)
        gate = tl.dot(tl.load(gates + at, mask=inside[None, :], other=0.0), value, gate)
        up = tl.dot(tl.load(ups + at, mask=inside[None, :], other=0.0), value, up)
    column = expert * (2 * features) + n
    gate = with_bias(gate, bias, column, n < features)
    up = with_bias(up, bias, column + features, n < features)
    result = unit(gate, up, limit, slope, offset, ACTIVATION)
    keep(y, result, first + tl.arange(0, BM), here, n, features)


@triton.jit
def out_of_units(
    x, w, bias, y, order, tiles, features, depth,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    """y[order[i]] = the product of x[i] with its expert's matrix (+ bias). Grid: (tiles, tiles of
    features). x: [pairs, depth], in the order; y: [pairs, features] float32."""
    expert, first, used = own_tile(tiles)
    pair, here = pairs_of(order, first, used, BM)
    n, k = tl.program_id(1) * BN + tl.arange(0, BN), tl.arange(0, BK)
    xs = x + (first + tl.arange(0, BM)).to(tl.int64)[None, :] * depth + k[:, None]
    ws = w + (expert * features + rows(n, features))[:, None] * depth + k[None, :]
    total = tl.zeros((BN, BM), tl.float32)
    for at in range(0, tl.where(used > 0, depth, 0), BK):
        inside = k < depth - at
        value = tl.load(xs + at, mask=here[None, :] & inside[:, None], other=0.0)
        total = tl.dot(tl.load(ws + at, mask=inside[None, :], other=0.0), value, total)
    total = with_bias(total, bias, expert * features + n, n < features)
    keep(y, total, pair, here, n, features)


@triton.jit
def into_units_q(
    x, words, scales, bias, y, order, tiles, features, depth, chosen, limit, slope, offset, zero,
    BM: tl.constexpr, BN: tl.constexpr, WORDS: tl.constexpr, SPAN: tl.constexpr,
    BITS: tl.constexpr, FLOAT: tl.constexpr, ACTIVATION: tl.constexpr,
):  # fmt: skip
    """As `into_units`, of packed weights."""
    expert, first, used = own_tile(tiles)
    pair, here = pairs_of(order, first, used, BM)
    n, i = tl.program_id(1) * BN + tl.arange(0, BN), tl.arange(0, WORDS)
    PLANES: tl.constexpr = 32 // BITS
    row, blocks = rows(n, features), tl.cdiv(depth, WORDS * PLANES)
    xs = x + (pair // chosen).to(tl.int64)[None, :] * depth + i[:, None]
    gates = words + (expert * (2 * features) + row)[:, None] * (blocks * WORDS) + i[None, :]
    ups = gates + features.to(tl.int64) * (blocks * WORDS)
    scaled = scales + expert * (blocks * (PLANES // SPAN)) * (2 * features) + row
    gate = tl.zeros((BN, BM), tl.float32)
    up = tl.zeros((BN, BM), tl.float32)
    for at in range(0, tl.where(used > 0, depth, 0), WORDS * PLANES):
        gate_word = tl.load(gates + tl.multiple_of(at // PLANES, WORDS))
        up_word = tl.load(ups + tl.multiple_of(at // PLANES, WORDS))
        for j in tl.static_range(PLANES):
            group = at // (WORDS * SPAN) + j // SPAN
            own = scaled + group.to(tl.int64) * (2 * features)
            mask = here[None, :] & (i < depth - at - j * WORDS)[:, None]
            value = tl.load(xs + at + j * WORDS, mask=mask, other=0.0)
            w = weights(gate_word, tl.load(own)[:, None], zero, j, BITS, FLOAT)
            gate = tl.dot(w, value, gate)
            w = weights(up_word, tl.load(own + features)[:, None], zero, j, BITS, FLOAT)
            up = tl.dot(w, value, up)
    column = expert * (2 * features) + n
    gate = with_bias(gate, bias, column, n < features)
    up = with_bias(up, bias, column + features, n < features)
    result = unit(gate, up, limit, slope, offset, ACTIVATION)
    keep(y, result, first + tl.arange(0, BM), here, n, features)


@triton.jit
def out_of_units_q(
    x, words, scales, bias, y, order, tiles, features, depth, zero,
    BM: tl.constexpr, BN: tl.constexpr, WORDS: tl.constexpr, SPAN: tl.constexpr,
    BITS: tl.constexpr, FLOAT: tl.constexpr,
):  # fmt: skip
    """As `out_of_units`, of packed weights."""
    expert, first, used = own_tile(tiles)
    pair, here = pairs_of(order, first, used, BM)
    n, i = tl.program_id(1) * BN + tl.arange(0, BN), tl.arange(0, WORDS)
    PLANES: tl.constexpr = 32 // BITS
    row, blocks = rows(n, features), tl.cdiv(depth, WORDS * PLANES)
    xs = x + (first + tl.arange(0, BM)).to(tl.int64)[None, :] * depth + i[:, None]
    packed = words + (expert * features + row)[:, None] * (blocks * WORDS) + i[None, :]
    scaled = scales + expert * (blocks * (PLANES // SPAN)) * features + row
    total = tl.zeros((BN, BM), tl.float32)
    for at in range(0, tl.where(used > 0, depth, 0), WORDS * PLANES):
        word = tl.load(packed + tl.multiple_of(at // PLANES, WORDS))
        for j in tl.static_range(PLANES):
            group = at // (WORDS * SPAN) + j // SPAN
            scale = tl.load(scaled + group.to(tl.int64) * features)
            mask = here[None, :] & (i < depth - at - j * WORDS)[:, None]
            value = tl.load(xs + at + j * WORDS, mask=mask, other=0.0)
            w = weights(word, scale[:, None], zero, j, BITS, FLOAT)
            total = tl.dot(w, value, total)
    total = with_bias(total, bias, expert * features + n, n < features)
    keep(y, total, pair, here, n, features)
