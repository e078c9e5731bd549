"""Experts between their products: which ones a token has, in what order their rows are computed,
and what a token's came to together (https://arxiv.org/abs/1701.06538).

A row of an expert is a pair: token * CHOSEN + the place of the expert among those of the token.
Pairs lie in `order` by expert, those of one by token; a tile of a product is some that follow each
other there. What is in a tile changes no row of it, so neither does what else a step has (law 1).
"""

import triton
import triton.language as tl

from raylax.kernels.cuda.source.pointwise import UNITS, added

LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def sigmoid(x):
    """From 2**(-|x| log2 e), which cannot overflow."""
    e = tl.exp2(tl.abs(x) * -LOG2_E)
    return tl.where(x < 0.0, e, 1.0) / (1.0 + e)


@triton.jit
def largest(value):
    """Of a tile."""
    return tl.max(tl.max(value, 1), 0)


@triton.jit
def softmax(value):
    """Over a tile; -inf is nothing. Its powers are added as integers, which have one sum."""
    power = tl.exp2((value - largest(value)) * LOG2_E)
    total = tl.sum(tl.sum((power * UNITS).to(tl.int64), 1), 0).to(tl.float32)
    return power / (total * (1.0 / UNITS))


@triton.jit
def of_best_groups(
    choice, GROUPS: tl.constexpr, KEPT: tl.constexpr, TALL: tl.constexpr, WIDE: tl.constexpr
):  # fmt: skip
    """Leaves only the groups (rows of the tile) whose two best add up to most, first ones of equal
    ones; -inf in all others."""
    place = tl.arange(0, WIDE)[None, :]
    group = tl.arange(0, TALL)
    best = tl.max(choice, 1)
    first = tl.min(tl.where(choice == best[:, None], place, WIDE), 1)
    second = tl.max(tl.where(place == first[:, None], float("-inf"), choice), 1)
    both = tl.where(group < GROUPS, best + second, float("-inf"))
    kept = tl.zeros(group.shape, tl.int32)
    for _ in tl.static_range(KEPT):
        one = tl.min(tl.where(both == tl.max(both, 0), group, TALL), 0)
        kept = tl.where(group == one, 1, kept)
        both = tl.where(group == one, float("-inf"), both)
    return tl.where((kept != 0)[:, None], choice, float("-inf"))


@triton.jit
def route(
    logits, correction, slots, experts, shares, gates, stride, scale,
    COUNT: tl.constexpr, CHOSEN: tl.constexpr, GROUPS: tl.constexpr, KEPT: tl.constexpr,
    SIGMOID: tl.constexpr, CORRECTED: tl.constexpr, NORMALISED: tl.constexpr, GATED: tl.constexpr,
    TALL: tl.constexpr, WIDE: tl.constexpr, MOST: tl.constexpr,
):  # fmt: skip
    """The likeliest experts of a token, the first of equal ones, and how much each counts. Grid:
    (tokens,).

    logits: rows of `stride` float32, of COUNT experts and, GATED, of the MLP beside them, of which
    `gates` gets the sigmoid. experts: [tokens, CHOSEN] int32; shares: the same in float32, by
    `scale`. CORRECTED: experts are chosen by their score and `correction` [COUNT] float32. A tile
    has GROUPS rows, padded to TALL, of WIDE; of these KEPT are chosen first. A token of slot -1 is
    none, and has no expert.
    """
    each: tl.constexpr = COUNT // GROUPS
    token = tl.program_id(0).to(tl.int64)
    group, place = tl.arange(0, TALL)[:, None], tl.arange(0, WIDE)[None, :]
    expert, there = group * each + place, (group < GROUPS) & (place < each)
    value = tl.load(logits + token * stride + expert, mask=there, other=float("-inf"))
    if GATED:
        tl.store(gates + token, sigmoid(tl.load(logits + token * stride + COUNT)))
    score = sigmoid(value) if SIGMOID else softmax(value)
    choice = value
    if CORRECTED or GROUPS > 1:
        choice = score
        if CORRECTED:
            choice = score + tl.load(correction + expert, mask=there, other=0.0)
        choice = tl.where(there, choice, float("-inf"))
    if GROUPS > 1:
        choice = of_best_groups(choice, GROUPS, KEPT, TALL, WIDE)

    at = tl.arange(0, MOST)
    chosen = tl.full((MOST,), -1, tl.int32)
    share = tl.zeros((MOST,), tl.float32)
    total = 0.0
    for k in tl.static_range(CHOSEN):
        best = there & (choice == largest(choice))
        one = tl.min(tl.min(tl.where(best, expert, COUNT - 1), 1), 0)  # also where none is a number
        own = there & (expert == one)
        part = largest(tl.where(own, score, float("-inf")))
        chosen = tl.where(at == k, one, chosen)
        share = tl.where(at == k, part, share)
        total += part
        choice = tl.where(own, float("-inf"), choice)
    if NORMALISED:
        share = share / total
    chosen = tl.where(tl.load(slots + token) < 0, -1, chosen)
    tl.store(experts + token * CHOSEN + at, chosen, mask=at < CHOSEN)
    tl.store(shares + token * CHOSEN + at, share * scale, mask=at < CHOSEN)


@triton.jit
def sort(
    experts, order, tiles, pairs, first, rows, per, apart, most, BLOCK: tl.constexpr
):  # fmt: skip
    """Where the pairs of each expert are computed. Grid: (experts of this rank, from `first` on).

    order: [pairs]; tiles: [most, 3], of each the expert, from `first` on, the place in `order` of
    its first pair, and how many it has, of `rows` at most; 0: it is none.

    The tiles of the expert e begin at B // per + e * apart, if B pairs come before its own. Of
    (1, 0) there is room, for no expert has more tiles than pairs; of (rows, 1), too: n pairs fill
    n // rows tiles and perhaps another. So each expert knows its place without asking the others.
    """
    expert, at = tl.program_id(0), tl.arange(0, BLOCK)
    before = tl.zeros((BLOCK,), tl.int32)
    mine = tl.zeros((BLOCK,), tl.int32)
    for start in range(0, pairs, BLOCK):
        other = tl.load(experts + start + at, mask=start + at < pairs, other=-1) - first
        before += ((other >= 0) & (other < expert)).to(tl.int32)
        mine += (other == expert).to(tl.int32)
    begin, own = tl.sum(before, 0), tl.sum(mine, 0)

    place = begin - 1
    for start in range(0, pairs, BLOCK):
        pair = start + at
        other = tl.load(experts + pair, mask=pair < pairs, other=-1) - first
        here = (other == expert).to(tl.int32)
        tl.store(order + place + tl.cumsum(here, 0), pair, mask=here != 0)
        place += tl.sum(here, 0)

    tile = begin // per + expert * apart
    end = (begin + own) // per + (expert + 1) * apart
    end = tl.where(expert == tl.num_programs(0) - 1, most, end)  # and what nobody has
    for start in range(0, end - tile, BLOCK):
        number = start + at
        one = tiles + (tile + number) * 3
        inside = number < end - tile
        used = tl.minimum(tl.maximum(own - number * rows, 0), rows)
        tl.store(one, tl.zeros((BLOCK,), tl.int32) + expert, mask=inside)
        tl.store(one + 1, begin + number * rows, mask=inside)
        tl.store(one + 2, used, mask=inside)


@triton.jit
def blend(
    y, experts, shares, gates, parts, tokens, width, first, end,
    PARTS: tl.constexpr, CHOSEN: tl.constexpr, GATED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """parts[0] = what the MLP beside the experts came to, perhaps by its gate, and then what the
    token's experts did, each by its share, in the order in which they were chosen. Grid: (tokens,
    blocks of the width).

    y: [pairs, width] float32, of the experts first .. end; parts: [PARTS, tokens, width] float32,
    of that MLP, in place; of no parts, there is none.
    """
    token, at = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    here = at < width
    total = added(parts, parts, tokens, token, width, at, here, PARTS, False)
    if GATED:
        total = total * tl.load(gates + token)
    for k in tl.static_range(CHOSEN):
        pair = token * CHOSEN + k
        expert = tl.load(experts + pair)
        own = here & (expert >= first) & (expert < end)
        total += tl.load(y + pair * width + at, mask=own, other=0.0) * tl.load(shares + pair)
    tl.store(parts + token * width + at, total, mask=here)
