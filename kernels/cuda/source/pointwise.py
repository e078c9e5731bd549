"""What lies between products: norms, rotary embedding with KV append, embedding rows.

One program has whole rows. What is summed across its threads are integers, which have one sum, so
a row's bits depend neither on the batch nor on how threads lie on it, and numpy has the same.

A trait that a model has not is a constant of its machine code, and so are the arguments that belong
to it: it costs nothing there.
"""

import triton
import triton.language as tl

from raylax.kernels.cuda.source.pages import encode, step_of

UNITS = tl.constexpr(1099511627776.0)
"""2^40: numbers and squares are added in parts of that, of 4 at most."""
AS_IT_IS, NORMED = tl.constexpr(1), tl.constexpr(2)
"""Values of `TO`, what is written to y; 0 is nothing."""
OF_HEAD, OF_ALL = tl.constexpr(1), tl.constexpr(2)
"""Values of `QK`, how many heads share a norm of queries and keys; 0: there is none."""


@triton.jit
def embed(
    ids, table, hidden, width, vocab, scale, positions, places,
    SCALED: tl.constexpr, PLACED: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """hidden[t] = table[ids[t]] (* scale) (+ places[positions[t]]) in float32. Grid: (tokens,).

    Whoever makes a step checks its ids; one that is none of the `vocab` is taken for the nearest.
    """
    token, at = tl.program_id(0).to(tl.int64), tl.arange(0, WIDTH)
    row = tl.minimum(tl.maximum(tl.load(ids + token), 0), vocab - 1).to(tl.int64) * width
    value = tl.load(table + row + at, mask=at < width, other=0.0)
    if SCALED:
        value = value.to(tl.float32) * scale
    if PLACED:
        place = places + tl.load(positions + token).to(tl.int64) * width
        own = tl.load(place + at, mask=at < width, other=0.0)
        value = value.to(tl.float32) + own.to(tl.float32)
    tl.store(hidden + token * width + at, value.to(tl.float32), mask=at < width)


@triton.jit
def added(parts, bias, tokens, token, width, at, here, PARTS: tl.constexpr, HAS_BIAS: tl.constexpr):
    """A token's row of a product: its segments, added upwards from 0, then the bias."""
    total = tl.zeros(at.shape, tl.float32)
    for i in tl.static_range(PARTS):
        total += tl.load(parts + (tokens * i + token) * width + at, mask=here, other=0.0)
    if HAS_BIAS:
        total += tl.load(bias + at, mask=here, other=0.0).to(tl.float32)
    return total


@triton.jit
def powers(largest):
    """By the bits of the largest magnitude: what brings that to 1 .. 2, and what takes it back."""
    exponent = tl.minimum(tl.maximum(largest >> 23, 1), 253)
    down = ((254 - exponent) << 23).to(tl.float32, bitcast=True)
    return down, (exponent << 23).to(tl.float32, bitcast=True)


@triton.jit
def by_root(total, largest, up, count, eps):
    """1 / sqrt(mean + eps), of so many squares that sum up to `total` UNITS as they were scaled."""
    total = total.to(tl.float32) * (1.0 / UNITS)
    mean = tl.div_rn(total, count.to(tl.float32)) * up * up
    mean = tl.where(largest < 0x7F800000, mean, float("nan"))
    return tl.div_rn(1.0, tl.sqrt_rn(mean + eps))


@triton.jit
def inverse(value, count, eps):
    """1 / sqrt(sum(value^2) / count + eps), in float32.

    Numbers are scaled by a power of two, so that the largest is from 1 to 2, and their squares are
    added as integers. That of a row that is not finite is NaN.
    """
    largest = tl.max(value.to(tl.int32, bitcast=True) & 0x7FFFFFFF, 0)  # of NaN, if there is one
    down, up = powers(largest)
    scaled = tl.where(largest < 0x7F800000, value * down, 0.0)
    total = tl.sum((scaled * scaled * UNITS).to(tl.int64), 0)
    return by_root(total, largest, up, count, eps)


@triton.jit
def normed(value, weight, at, here, width, eps):
    """value * weight / sqrt(mean(value^2) + eps), in float32."""
    by = inverse(value, width, eps)
    return value * by * tl.load(weight + at, mask=here, other=0.0).to(tl.float32)


@triton.jit
def centred(value, at, own):
    """value - its mean, over the first `own` numbers; those behind, which are zeros, remain so."""
    largest = tl.max(value.to(tl.int32, bitcast=True) & 0x7FFFFFFF, 0)
    down, up = powers(largest)
    scaled = tl.where(largest < 0x7F800000, value * down, 0.0)
    total = tl.sum((scaled * UNITS).to(tl.int64), 0).to(tl.float32)
    mean = tl.div_rn(total * (1.0 / UNITS), own.to(tl.float32)) * up
    mean = tl.where(largest < 0x7F800000, mean, float("nan"))
    return tl.where(at < own, value - mean, 0.0)


@triton.jit
def behind(
    value, weight, shift, at, here, width, own, eps, LAYER: tl.constexpr, SHIFTED: tl.constexpr
):  # fmt: skip
    """A row behind an RMS norm over all of it, or a layer norm over its first `own` numbers."""
    if LAYER:
        value = centred(value, at, own)
        result = normed(value, weight, at, here, own, eps)
    else:
        result = normed(value, weight, at, here, width, eps)
    if SHIFTED:
        result += tl.load(shift + at, mask=here, other=0.0).to(tl.float32)
    return result


@triton.jit
def contributed(
    parts, bias, after, after_shift, tokens, token, width, own, eps, scale, at, here,
    PARTS: tl.constexpr, HAS_BIAS: tl.constexpr, LAYER: tl.constexpr, SHIFTED: tl.constexpr,
    AFTER: tl.constexpr, SCALED: tl.constexpr,
):  # fmt: skip
    """What a product adds to the residual stream: perhaps behind a norm, perhaps scaled."""
    value = added(parts, bias, tokens, token, width, at, here, PARTS, HAS_BIAS)
    if AFTER:
        value = behind(value, after, after_shift, at, here, width, own, eps, LAYER, SHIFTED)
    if SCALED:
        value = value * scale
    return value


@triton.jit
def add_norm(
    hidden, parts, bias, weight, y, tokens, width, eps, own, shift, after, after_shift, scale,
    PARTS: tl.constexpr, HAS_BIAS: tl.constexpr, LAYER: tl.constexpr, SHIFTED: tl.constexpr,
    AFTER: tl.constexpr, SCALED: tl.constexpr, TO: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """hidden += the sum of `parts` (+ bias); y = norm(hidden) * weight. Grid: (tokens,).

    hidden: [tokens, width] float32, in place; parts: [PARTS, tokens, width] float32. AFTER: what is
    added stands behind a norm as well. LAYER: norms take the mean of the first `own` numbers off
    first; else they are RMS norms of all. SHIFTED: they have biases.
    """
    token, at = tl.program_id(0).to(tl.int64), tl.arange(0, WIDTH)
    here = at < width
    value = tl.load(hidden + token * width + at, mask=here, other=0.0)
    if PARTS > 0:
        value += contributed(
            parts, bias, after, after_shift, tokens, token, width, own, eps, scale, at, here,
            PARTS, HAS_BIAS, LAYER, SHIFTED, AFTER, SCALED,
        )  # fmt: skip
        tl.store(hidden + token * width + at, value, mask=here)
    if TO == NORMED:
        value = behind(value, weight, shift, at, here, width, own, eps, LAYER, SHIFTED)
    if TO:
        tl.store(y + token * width + at, value.to(y.dtype.element_ty), mask=here)


@triton.jit
def final_norm(
    hidden, parts, bias, weight, rows, y, states, tokens, width, eps, own, shift, after,
    after_shift, scale,
    PARTS: tl.constexpr, HAS_BIAS: tl.constexpr, LAYER: tl.constexpr, SHIFTED: tl.constexpr,
    AFTER: tl.constexpr, SCALED: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Like `add_norm` of hidden[rows], which stays as it is. Grid: (rows,).

    y: [rows, width], what the logits are made of; states: the same as float32, for embeddings. A
    row of -1 is nobody's: its y and states stay as they are.
    """
    row, at = tl.program_id(0).to(tl.int64), tl.arange(0, WIDTH)
    token = tl.load(rows + row).to(tl.int64)
    here = (at < width) & (token >= 0)
    value = tl.load(hidden + token * width + at, mask=here, other=0.0)
    if PARTS > 0:
        value += contributed(
            parts, bias, after, after_shift, tokens, token, width, own, eps, scale, at, here,
            PARTS, HAS_BIAS, LAYER, SHIFTED, AFTER, SCALED,
        )  # fmt: skip
    result = behind(value, weight, shift, at, here, width, own, eps, LAYER, SHIFTED)
    tl.store(y + row * width + at, result.to(y.dtype.element_ty), mask=here)
    tl.store(states + row * width + at, result, mask=here)


@triton.jit
def root_of_heads(
    parts, bias, roots, tokens, eps,
    PARTS: tl.constexpr, HAS_BIAS: tl.constexpr, HEADS: tl.constexpr, KV_HEADS: tl.constexpr,
    D: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """roots[t, i] = what a norm of all of a token's queries (i = 0) or keys (1) multiplies with.

    Grid: (tokens, 2). parts, bias: as those of `rope_append`; roots: [tokens, 2] float32.
    """
    token, kind, at = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.arange(0, WIDTH)
    first = kind * (HEADS * D)
    count = tl.where(kind == 0, HEADS * D, KV_HEADS * D)
    row: tl.constexpr = (HEADS + 2 * KV_HEADS) * D
    value = added(
        parts + first, bias + first, tokens, token, row, at, at < count, PARTS, HAS_BIAS
    )  # fmt: skip
    tl.store(roots + token * 2 + kind, inverse(value, count, eps))


@triton.jit
def norms_of_heads(low, high, eps, D: tl.constexpr):
    """What a norm of each head multiplies with, of its two halves [heads, D / 2]: a column."""
    largest = tl.maximum(
        tl.max(low.to(tl.int32, bitcast=True) & 0x7FFFFFFF, 1),
        tl.max(high.to(tl.int32, bitcast=True) & 0x7FFFFFFF, 1),
    )
    down, up = powers(largest)
    finite = (largest < 0x7F800000)[:, None]
    first = tl.where(finite, low * down[:, None], 0.0)
    second = tl.where(finite, high * down[:, None], 0.0)
    squares = (first * first * UNITS).to(tl.int64) + (second * second * UNITS).to(tl.int64)
    count = tl.full(largest.shape, D, tl.int32)
    return by_root(tl.sum(squares, 1), largest, up, count, eps)[:, None]


@triton.jit
def rope_append(
    parts, bias, positions, slots, cos, sin, q, pages, scales, tokens, norms, roots, eps,
    PARTS: tl.constexpr, HAS_BIAS: tl.constexpr, HEADS: tl.constexpr, KV_HEADS: tl.constexpr,
    D: tl.constexpr, PAGE: tl.constexpr, KV: tl.constexpr, QK: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Sums a token's q, k, v, turns q and k, and puts k and v where they belong.

    Grid: (tokens, all heads / BLOCK). parts: [PARTS, tokens, HEADS + 2 KV_HEADS, D] float32; bias,
    if any: [HEADS + 2 KV_HEADS, D]; cos, sin: [positions, D / 2] float32; pages: [n, 2, KV_HEADS,
    PAGE, D]; scales, of bytes: [n, 2, KV_HEADS, PAGE] float32. A slot is page * PAGE + offset; a
    token of slot -1 leaves no key.

    Of norms of q and k before they are turned the weights are `norms`: OF_HEAD [2, D], OF_ALL, with
    what `root_of_heads` has left, [HEADS + KV_HEADS, D]; float32.
    """
    half: tl.constexpr = D // 2
    all_heads: tl.constexpr = HEADS + 2 * KV_HEADS
    token = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    at = tl.arange(0, triton.next_power_of_2(half))[None, :]
    inside = at < half
    there = (head < all_heads)[:, None] & inside
    source = head[:, None] * D + at
    low = tl.zeros(source.shape, tl.float32)
    high = tl.zeros(source.shape, tl.float32)
    for i in tl.static_range(PARTS):
        row = parts + (tokens * i + token) * (all_heads * D) + source
        low += tl.load(row, mask=there, other=0.0)
        high += tl.load(row + half, mask=there, other=0.0)
    if HAS_BIAS:
        low += tl.load(bias + source, mask=there, other=0.0).to(tl.float32)
        high += tl.load(bias + source + half, mask=there, other=0.0).to(tl.float32)
    angle = tl.load(positions + token).to(tl.int64) * half + at
    turned = (head < HEADS + KV_HEADS)[:, None]
    if QK:
        of_key = tl.where(head < HEADS, 0, 1)[:, None]
        if QK == OF_HEAD:
            by = norms_of_heads(low, high, eps, D)
            weights = norms + of_key * D + at
        else:
            by = tl.load(roots + token * 2 + of_key)
            weights = norms + source
        for_both = turned & inside
        low_weight = tl.load(weights, mask=for_both, other=0.0)
        high_weight = tl.load(weights + half, mask=for_both, other=0.0)
        low = tl.where(turned, low * by * low_weight, low)
        high = tl.where(turned, high * by * high_weight, high)
    c = tl.where(turned, tl.load(cos + angle, mask=inside, other=1.0), 1.0)
    s = tl.where(turned, tl.load(sin + angle, mask=inside, other=0.0), 0.0)
    first, second = low * c - high * s, high * c + low * s

    query = there & (head < HEADS)[:, None]
    out = q + token * (HEADS * D) + source
    tl.store(out, first.to(q.dtype.element_ty), mask=query)
    tl.store(out + half, second.to(q.dtype.element_ty), mask=query)

    slot = tl.load(slots + token).to(tl.int64)
    own = tl.where(head < HEADS, 0, head - HEADS)  # keys' heads, then values'
    vector = slot // PAGE * (2 * KV_HEADS * PAGE) + own * PAGE + slot % PAGE
    stored = (head >= HEADS) & (head < all_heads) & (slot >= 0)
    if KV:
        size = tl.maximum(
            tl.max(first.to(tl.int32, bitcast=True) & 0x7FFFFFFF, 1),
            tl.max(second.to(tl.int32, bitcast=True) & 0x7FFFFFFF, 1),
        )
        step, inverse = step_of(size.to(tl.float32, bitcast=True), KV)
        tl.store(scales + vector, step, mask=stored)
        first, second = encode(first * inverse[:, None], KV), encode(second * inverse[:, None], KV)
    place = pages + vector[:, None] * D + at
    kept = stored[:, None] & inside
    tl.store(place, first.to(pages.dtype.element_ty), mask=kept)
    tl.store(place + half, second.to(pages.dtype.element_ty), mask=kept)
