"""What lies between products: norms, rotary embedding with KV append, embedding rows.

One program has whole rows, so a row's sums are in one order whatever the batch.
"""

import triton
import triton.language as tl


@triton.jit
def embed(ids, table, hidden, width, WIDTH: tl.constexpr):
    """hidden[t] = table[ids[t]] in float32. Grid: (tokens,). Ids must have been checked."""
    token, at = tl.program_id(0).to(tl.int64), tl.arange(0, WIDTH)
    row = tl.load(ids + token).to(tl.int64) * width
    value = tl.load(table + row + at, mask=at < width, other=0.0)
    tl.store(hidden + token * width + at, value.to(tl.float32), mask=at < width)


@triton.jit
def add_norm(
    hidden, parts, weight, y, tokens, width, eps, PARTS: tl.constexpr, WIDTH: tl.constexpr
):
    """hidden += the sum of `parts`, upwards; y = rms_norm(hidden) * weight. Grid: (tokens,).

    hidden: [tokens, width] float32, in place; parts: [PARTS, tokens, width] float32.
    """
    token, at = tl.program_id(0).to(tl.int64), tl.arange(0, WIDTH)
    here = at < width
    value = tl.load(hidden + token * width + at, mask=here, other=0.0)
    if PARTS > 0:
        total = tl.load(parts + token * width + at, mask=here, other=0.0)
        for i in tl.static_range(1, PARTS):
            total += tl.load(parts + (tokens * i + token) * width + at, mask=here, other=0.0)
        value += total
        tl.store(hidden + token * width + at, value, mask=here)
    mean = tl.sum(value * value, 0) / width
    scale = tl.load(weight + at, mask=here, other=0.0).to(tl.float32)
    tl.store(
        y + token * width + at,
        (value * tl.rsqrt(mean + eps) * scale).to(y.dtype.element_ty),
        mask=here,
    )


@triton.jit
def rope_append(
    parts, bias, positions, slots, cos, sin, q, pages, tokens,
    PARTS: tl.constexpr, HAS_BIAS: tl.constexpr, HEADS: tl.constexpr, KV_HEADS: tl.constexpr,
    D: tl.constexpr, PAGE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Sums a token's q, k, v, turns q and k, and puts k and v where they belong.

    Grid: (tokens, all heads / BLOCK). parts: [PARTS, tokens, HEADS + 2 KV_HEADS, D] float32;
    cos, sin: [positions, D / 2] float32; pages: [n, 2, KV_HEADS, PAGE, D]; a slot is
    page * PAGE + offset.
    """
    half: tl.constexpr = D // 2
    all_heads: tl.constexpr = HEADS + 2 * KV_HEADS
    token = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    there, at = (head < all_heads)[:, None], tl.arange(0, half)[None, :]
    source = head[:, None] * D + at
    low = tl.zeros((BLOCK, half), tl.float32)
    high = tl.zeros((BLOCK, half), tl.float32)
    for i in tl.static_range(PARTS):
        row = parts + (tokens * i + token) * (all_heads * D) + source
        low += tl.load(row, mask=there, other=0.0)
        high += tl.load(row + half, mask=there, other=0.0)
    if HAS_BIAS:
        low += tl.load(bias + source, mask=there, other=0.0).to(tl.float32)
        high += tl.load(bias + source + half, mask=there, other=0.0).to(tl.float32)
    angle = tl.load(positions + token).to(tl.int64) * half + at
    turned = (head < HEADS + KV_HEADS)[:, None]
    c = tl.where(turned, tl.load(cos + angle), 1.0)
    s = tl.where(turned, tl.load(sin + angle), 0.0)
    first, second = low * c - high * s, high * c + low * s
    kind = pages.dtype.element_ty

    query = there & (head < HEADS)[:, None]
    out = q + token * (HEADS * D) + source
    tl.store(out, first.to(kind), mask=query)
    tl.store(out + half, second.to(kind), mask=query)

    slot = tl.load(slots + token).to(tl.int64)
    own = tl.where(head < HEADS, 0, head - HEADS)[:, None]  # keys' heads, then values'
    place = pages + slot // PAGE * (2 * KV_HEADS * PAGE * D) + (own * PAGE + slot % PAGE) * D + at
    kept = there & (head >= HEADS)[:, None]
    tl.store(place, first.to(kind), mask=kept)
    tl.store(place + half, second.to(kind), mask=kept)
