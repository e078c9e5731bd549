"""What lies between products: norms, rotary embedding with KV append, embedding rows.

One program has whole rows. What is summed across its threads are integers, which have one sum, so
a row's bits depend neither on the batch nor on how threads lie on it, and numpy has the same.
"""

import triton
import triton.language as tl

from raylax.kernels.cuda.source.pages import encode, step_of

UNITS = tl.constexpr(1099511627776.0)
"""2^40: squares are added in parts of that, of numbers from 0 to 4."""


@triton.jit
def embed(ids, table, hidden, width, vocab, WIDTH: tl.constexpr):
    """hidden[t] = table[ids[t]] in float32. Grid: (tokens,).

    Whoever makes a step checks its ids; one that is none of the `vocab` is taken for the nearest.
    """
    token, at = tl.program_id(0).to(tl.int64), tl.arange(0, WIDTH)
    row = tl.minimum(tl.maximum(tl.load(ids + token), 0), vocab - 1).to(tl.int64) * width
    value = tl.load(table + row + at, mask=at < width, other=0.0)
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
def normed(value, weight, at, here, width, eps):
    """value * weight / sqrt(mean(value^2) + eps), in float32.

    Numbers are scaled by a power of two, so that the largest is from 1 to 2, and their squares are
    added as integers. A row that is not finite becomes NaN.
    """
    largest = tl.max(value.to(tl.int32, bitcast=True) & 0x7FFFFFFF, 0)  # of NaN, if there is one
    exponent = tl.minimum(tl.maximum(largest >> 23, 1), 253)
    down = ((254 - exponent) << 23).to(tl.float32, bitcast=True)
    up = (exponent << 23).to(tl.float32, bitcast=True)
    scaled = tl.where(largest < 0x7F800000, value * down, 0.0)
    total = tl.sum((scaled * scaled * UNITS).to(tl.int64), 0).to(tl.float32)
    mean = tl.div_rn(total * (1.0 / UNITS), width.to(tl.float32)) * up * up
    mean = tl.where(largest < 0x7F800000, mean, float("nan"))
    by = tl.div_rn(1.0, tl.sqrt_rn(mean + eps))
    return value * by * tl.load(weight + at, mask=here, other=0.0).to(tl.float32)


@triton.jit
def add_norm(
    hidden, parts, bias, weight, y, tokens, width, eps,
    PARTS: tl.constexpr, HAS_BIAS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """hidden += the sum of `parts` (+ bias); y = rms_norm(hidden) * weight. Grid: (tokens,).

    hidden: [tokens, width] float32, in place; parts: [PARTS, tokens, width] float32.
    """
    token, at = tl.program_id(0).to(tl.int64), tl.arange(0, WIDTH)
    here = at < width
    value = tl.load(hidden + token * width + at, mask=here, other=0.0)
    if PARTS > 0:
        value += added(parts, bias, tokens, token, width, at, here, PARTS, HAS_BIAS)
        tl.store(hidden + token * width + at, value, mask=here)
    result = normed(value, weight, at, here, width, eps)
    tl.store(y + token * width + at, result.to(y.dtype.element_ty), mask=here)


@triton.jit
def final_norm(
    hidden, parts, bias, weight, rows, y, states, tokens, width, eps,
    PARTS: tl.constexpr, HAS_BIAS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Like `add_norm` of hidden[rows], which stays as it is. Grid: (rows,).

    y: [rows, width], what the logits are made of; states: the same as float32, for embeddings. A
    row of -1 is nobody's: its y and states stay as they are.
    """
    own, at = tl.program_id(0).to(tl.int64), tl.arange(0, WIDTH)
    token = tl.load(rows + own).to(tl.int64)
    here = (at < width) & (token >= 0)
    value = tl.load(hidden + token * width + at, mask=here, other=0.0)
    if PARTS > 0:
        value += added(parts, bias, tokens, token, width, at, here, PARTS, HAS_BIAS)
    result = normed(value, weight, at, here, width, eps)
    tl.store(y + own * width + at, result.to(y.dtype.element_ty), mask=here)
    tl.store(states + own * width + at, result, mask=here)


@triton.jit
def rope_append(
    parts, bias, positions, slots, cos, sin, q, pages, scales, tokens,
    PARTS: tl.constexpr, HAS_BIAS: tl.constexpr, HEADS: tl.constexpr, KV_HEADS: tl.constexpr,
    D: tl.constexpr, PAGE: tl.constexpr, KV: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Sums a token's q, k, v, turns q and k, and puts k and v where they belong.

    Grid: (tokens, all heads / BLOCK). parts: [PARTS, tokens, HEADS + 2 KV_HEADS, D] float32; bias,
    if any: [HEADS + 2 KV_HEADS, D]; cos, sin: [positions, D / 2] float32; pages: [n, 2, KV_HEADS,
    PAGE, D]; scales, of bytes: [n, 2, KV_HEADS, PAGE] float32. A slot is page * PAGE + offset; a
    token of slot -1 leaves no key.
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
