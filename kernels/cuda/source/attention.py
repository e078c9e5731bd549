"""Attention over paged keys and values: prefill chunks, decodes and any mix, in one kernel.

Everything is transposed, so that the keys are the matrix unit's rows and the queries its columns:
scores are keys x queries, outputs are dims x queries. A decode's few rows then waste nothing, use
the same instruction as a prefill's many, and sum in the same order.

Keys are cut into splits of `SPLIT` counted from key 0 of the sequence, a split into tiles of `BK`.
A split is reduced from nothing, and splits are merged upwards. One program may walk all the splits
of its rows, or only one of them and leave what it came to for `combine`: the bits are the same. A
split or tile in which a row sees no key leaves that row as it was, exactly. So those between the
sinks and a window are left out. `SPLIT` and `BK` are part of the result; the number of queries of a
tile is not.

Bytes (`KV`) meet the matrix unit as they are: scales of keys are multiplied with the scores, those
of values with the weights, in float32. So codes are exact, and nothing is rounded that would not be
without them. Weights times scales may be tiny, hence the second product is bf16's, whatever the
model's precision.

A program is told what to do by eight numbers, a row of `combine` by four, see `step/work_list.py`.
"""

import triton
import triton.language as tl

from raylax.kernels.cuda.source.pages import decode

TWO_LOG2_E = tl.constexpr(2.885390081777927)


@triton.jit
def merge(high, low_sum, low, top, some, part):
    """Two running softmaxes into one: what was before, then what comes after it."""
    new = tl.maximum(high, top)
    safe = tl.where(new == float("-inf"), 0.0, new)
    old, fresh = tl.exp2(high - safe), tl.exp2(top - safe)
    return new, low_sum * old + some * fresh, low * old[None, :] + part * fresh[None, :]


@triton.jit
def exact_sum(share):
    """Of weights from 0 to 1 over the keys, in units of 2^-22. Integers have one sum, whatever the
    order, so the number of warps and how they lie on a tile do not matter."""
    units = (share + 2.0).to(tl.int32, bitcast=True) - 0x40000000
    return tl.sum(units, 0).to(tl.float32) * 2.384185791015625e-07


@triton.jit
def attend(
    q, pages, scales, tables, items, out, partial, summary, learned, scale, softcap, window, sinks,
    table_width,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, D: tl.constexpr, BQ: tl.constexpr,
    BK: tl.constexpr, SPLIT: tl.constexpr, PAGE: tl.constexpr, KV: tl.constexpr,
    WINDOW: tl.constexpr, SINKS: tl.constexpr, SOFTCAP: tl.constexpr, LEARNED: tl.constexpr,
):  # fmt: skip
    """Grid: (items, KV_HEADS). q, out: [tokens, HEADS, D]; pages: [n, 2, KV_HEADS, PAGE, D];
    scales, of bytes: [n, 2, KV_HEADS, PAGE] float32; tables: [sequences, table_width].

    `scale` is the softmax's times log2(e), and so is `softcap` the model's. A row sees `window`
    keys with its own, and the first `sinks`; LEARNED: before all of them a score of its head, in
    `learned` [HEADS] float32 times log2(e), which has no value. partial: [slots, KV_HEADS, BQ, D]
    float32, and summary: [slots, KV_HEADS, 2, BQ], the largest score and the sum of the weights.
    """
    group: tl.constexpr = HEADS // KV_HEADS
    wide: tl.constexpr = max(
        triton.next_power_of_2(D), 64
    )  # rows of Hopper's matrix unit, at least
    kind: tl.constexpr = q.dtype.element_ty if KV == 0 else tl.bfloat16
    item = items + tl.program_id(0).to(tl.int64) * 8
    kv_head = tl.program_id(1)
    sequence, start = tl.load(item), tl.load(item + 1)
    position, rows = tl.load(item + 2), tl.load(item + 3)
    split, splits = tl.load(item + 4), tl.load(item + 5)
    slot, keys = tl.load(item + 6), tl.load(item + 7)

    r, d, k = tl.arange(0, BQ), tl.arange(0, wide), tl.arange(0, BK)
    inside = d < D
    token, used = r // group, r < rows * group
    place = ((start + token).to(tl.int64) * HEADS + kv_head * group + r % group) * D
    ours = used[None, :] & inside[:, None]
    queries = tl.load(q + place[None, :] + d[:, None], mask=ours, other=0.0)
    limit = position + token  # the last key that a row sees
    least = position - window + 1 if WINDOW else 0  # the first key that any row sees, but for sinks
    table = tables + sequence.to(tl.int64) * table_width
    if SINKS:
        aside = tl.cdiv(sinks, SPLIT)  # splits that hold sinks, and after them such as nobody sees
        between = max(least // SPLIT - aside, 0)

    high = tl.full((BQ,), float("-inf"), tl.float32)
    weight = tl.zeros((BQ,), tl.float32)
    total = tl.zeros((wide, BQ), tl.float32)
    top, some, part = high, weight, total
    if LEARNED:
        high = tl.load(learned + kv_head * group + r % group)
        weight = tl.full((BQ,), 1.0, tl.float32)
    for one in range(split, split + splits):
        top = tl.full((BQ,), float("-inf"), tl.float32)
        some = tl.zeros((BQ,), tl.float32)
        part = tl.zeros((wide, BQ), tl.float32)
        begin = one * SPLIT
        if SINKS:
            begin += tl.where(one < aside, 0, between) * SPLIT
            end = min(begin + SPLIT, keys)
            after = max(begin, min(end, sinks) + (BK - 1)) // BK * BK  # the first tile without one
            gap = max(min(least, end) // BK * BK - after, 0)
            end -= gap
        else:
            if WINDOW:
                begin = max(begin, least // BK * BK)
            end = min(one * SPLIT + SPLIT, keys)
        for at in range(begin, end, BK):
            key = at + k
            if SINKS:
                key += tl.where(at < after, 0, gap)
            there = key < keys
            if SINKS:
                there = there & ((key >= least) | (key < sinks))
            elif WINDOW:
                there = there & (key >= least)
            page = tl.load(table + key // PAGE, mask=there, other=0).to(tl.int64)
            vector = (page * (2 * KV_HEADS) + kv_head) * PAGE + key % PAGE
            here = there[:, None] & inside[None, :]
            slots = (pages + vector * D)[:, None] + d[None, :]
            rows_k = tl.load(slots, mask=here, other=0)
            if KV:
                rows_k = decode(rows_k, KV, q.dtype.element_ty)
                factor = tl.load(scales + vector, mask=there, other=0.0) * scale
                score = tl.dot(rows_k, queries) * factor[:, None]
            else:
                score = tl.dot(rows_k, queries) * scale
            if SOFTCAP:
                score = softcap * (1.0 - 2.0 / (1.0 + tl.exp2(score * (TWO_LOG2_E / softcap))))
            seen = key[:, None] <= limit[None, :]
            if SINKS:
                near = key[:, None] > limit[None, :] - window
                seen = seen & (near | (key < sinks)[:, None])
            elif WINDOW:
                seen = seen & (key[:, None] > limit[None, :] - window)
            score = tl.where(seen, score, float("-inf"))
            new = tl.maximum(top, tl.max(score, 0))
            safe = tl.where(new == float("-inf"), 0.0, new)
            old = tl.exp2(top - safe)
            share = tl.exp2(score - safe[None, :])
            some = some * old + exact_sum(share)
            rows_v = tl.load(slots + KV_HEADS * PAGE * D, mask=here, other=0)
            if KV:
                rows_v = decode(rows_v, KV, kind)
                factor = tl.load(scales + vector + KV_HEADS * PAGE, mask=there, other=0.0)
                share = share * factor[:, None]
            part = tl.dot(tl.trans(rows_v), share.to(kind), part * old[None, :])
            top = new
        if slot < 0:
            high, weight, total = merge(high, weight, total, top, some, part)
    if slot < 0:
        result = (total / weight[None, :]).to(out.dtype.element_ty)
        tl.store(out + place[None, :] + d[:, None], result, mask=ours)
    else:
        at = (slot.to(tl.int64) * KV_HEADS + kv_head) * BQ
        tl.store(partial + (at + r)[None, :] * D + d[:, None], part, mask=ours)
        tl.store(summary + at * 2 + r, top, mask=used)
        tl.store(summary + at * 2 + BQ + r, some, mask=used)


@triton.jit
def combine(
    partial, summary, rows, out, learned, tile,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, D: tl.constexpr, LEARNED: tl.constexpr,
):  # fmt: skip
    """Grid: (rows, HEADS). A row: its token in the step, row in its items, first slot, slots; one
    without slots writes nothing. `tile`: BQ of the items; LEARNED: as `attend`."""
    group: tl.constexpr = HEADS // KV_HEADS
    wide: tl.constexpr = triton.next_power_of_2(D)
    row = rows + tl.program_id(0).to(tl.int64) * 4
    token, own, first, count = tl.load(row), tl.load(row + 1), tl.load(row + 2), tl.load(row + 3)
    head = tl.program_id(1)
    r, d = own * group + head % group, tl.arange(0, wide)
    inside = d < D
    high = tl.full((1,), float("-inf"), tl.float32)
    weight = tl.zeros((1,), tl.float32)
    total = tl.zeros((wide, 1), tl.float32)
    if LEARNED:
        high = tl.load(learned + head + tl.zeros((1,), tl.int32))
        weight = tl.full((1,), 1.0, tl.float32)
    for i in range(count):
        at = ((first.to(tl.int64) + i) * KV_HEADS + head // group) * tile
        part = tl.load(partial + (at + r) * D + d, mask=inside, other=0.0)[:, None]
        top = tl.load(summary + at * 2 + r + tl.zeros((1,), tl.int32))
        some = tl.load(summary + at * 2 + tile + r + tl.zeros((1,), tl.int32))
        high, weight, total = merge(high, weight, total, top, some, part)
    result = tl.reshape(total / weight[None, :], (wide,)).to(out.dtype.element_ty)
    tl.store(out + (token.to(tl.int64) * HEADS + head) * D + d, result, mask=inside & (count > 0))
