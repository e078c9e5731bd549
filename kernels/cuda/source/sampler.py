"""The next token of each row: bias and penalties, then the largest logit or a draw.

What a draw is says `raylax.kernels.draws.definition`, whose functions run here line for line; the
order of tokens, which is a sort there, is found here by counting. Counts and weights are integers,
which have one sum in every order. One program has a row, and nothing of another row.
"""

import triton
import triton.language as tl

from raylax.kernels.draws.definition import SHARED
from raylax.kernels.draws.operators import rebound


@triton.jit
def where(condition, x, y):
    return tl.where(condition, x, y)


@triton.jit
def maximum(x, y):
    return tl.maximum(x, y)


@triton.jit
def to_float(x):
    return x.to(tl.float32)


@triton.jit
def to_int(x):
    return x.to(tl.int32)


@triton.jit
def to_long(x):
    return x.to(tl.int64)


@triton.jit
def to_bits(x):
    return x.to(tl.int32, bitcast=True)


@triton.jit
def from_bits(x):
    return x.to(tl.float32, bitcast=True)


LENT = {
    "tl": tl,  # the interpreter looks for it
    "where": where,
    "maximum": maximum,
    "to_float": to_float,
    "to_int": to_int,
    "to_long": to_long,
    "to_bits": to_bits,
    "from_bits": from_bits,
}
DEFINED = rebound(SHARED, LENT, __name__, triton.jit, tl.constexpr)
key_of, scattered, distance = DEFINED["key_of"], DEFINED["scattered"], DEFINED["distance"]
weight, score = DEFINED["weight"], DEFINED["score"]

NEVER = tl.constexpr(2147483647)
LARGEST = tl.constexpr(3.4028234663852886e38)
NONE = tl.constexpr(-1)


@triton.jit
def better(value, index, other_value, other_index):
    wins = (value > other_value) | ((value == other_value) & (index < other_index))
    return tl.where(wins, value, other_value), tl.where(wins, index, other_index)


@triton.jit
def ordered(x):
    """float32 as uint32, in the same order; both zeros are one."""
    bits = to_bits(x)
    bits = tl.where(x == 0.0, 0, bits)
    return tl.where(bits < 0, ~bits, bits | -2147483648).to(tl.uint32, bitcast=True)


@triton.jit
def loaded(logits, token, vocab, stride):
    """Logits of these tokens, in long loads: what lies between rows is read, and is -inf."""
    x = tl.load(logits + token, mask=token < stride, other=float("-inf"))
    return tl.where(token < vocab, x, float("-inf"))


@triton.jit
def first_of(value, index):
    """The largest value of a block and the least of its indices."""
    top = tl.max(value, 0)
    return top, tl.min(tl.where(value == top, index, NEVER), 0)


@triton.jit
def digits(least, step, BITS: tl.constexpr):
    """The keys that begin like `least` and go on with each digit."""
    return least + (tl.arange(0, 1 << BITS).to(tl.uint32) << (32 - BITS - BITS * step))


@triton.jit
def longest(least, step, holds, BITS: tl.constexpr):
    """`least` with the largest of the digits that hold; 0 always does."""
    digit = tl.arange(0, 1 << BITS)
    digit = tl.max(tl.where(holds, digit, 0), 0).to(tl.uint32)
    return least + (digit << (32 - BITS - BITS * step))


@triton.jit
def at_or_above(
    logits, kept, count, keys, top, scale,
    BLOCK: tl.constexpr, BITS: tl.constexpr, BY_WEIGHT: tl.constexpr,
):  # fmt: skip
    """Of the listed tokens those at or above each key: how many, or their weight."""
    total = tl.zeros((1 << BITS,), tl.int64)
    for start in range(0, count, BLOCK):
        at = start + tl.arange(0, BLOCK)
        token = tl.load(kept + at, mask=at < count, other=0)
        x = tl.load(logits + token, mask=at < count, other=float("-inf"))
        there = (ordered(x)[:, None] >= keys[None, :]) & (at < count)[:, None]
        if BY_WEIGHT:
            w = weight(distance(x, top, scale))
            total += tl.sum(tl.where(there, w[:, None], 0), 0)
        else:
            total += tl.sum(there.to(tl.int32), 0)
    return total


@triton.jit
def cut(
    logits, kept, count, wanted, top, scale,
    BLOCK: tl.constexpr, BITS: tl.constexpr, BY_WEIGHT: tl.constexpr,
):  # fmt: skip
    """The largest key at or above which there are as many listed tokens as wanted, or so much
    weight; of what is above it the number and the weight; and the weight of one that is at it."""
    least = tl.zeros((1 << BITS,), tl.uint32)
    for step in range(32 // BITS):
        keys = digits(least, step, BITS)
        has = at_or_above(logits, kept, count, keys, top, scale, BLOCK, BITS, BY_WEIGHT)
        least = longest(least, step, has >= wanted, BITS)
    keys = least + tl.where(tl.arange(0, 1 << BITS) > 0, 1, 0).to(tl.uint32)
    number = at_or_above(logits, kept, count, keys, top, scale, BLOCK, BITS, False)
    weights = at_or_above(logits, kept, count, keys, top, scale, BLOCK, BITS, True)
    above, more = tl.min(number, 0), tl.min(weights, 0)
    each = (tl.max(weights, 0) - more) // tl.maximum(tl.max(number, 0) - above, 1)
    return tl.max(least, 0), above, more, each


@triton.jit
def lanes_cut(values, wanted, BITS: tl.constexpr):
    """The key of the so many-th largest of a block."""
    least = tl.zeros((1 << BITS,), tl.uint32)
    for step in range(32 // BITS):
        keys = digits(least, step, BITS)
        number = tl.sum((ordered(values)[:, None] >= keys[None, :]).to(tl.int32), 0)
        least = longest(least, step, number >= wanted, BITS)
    return tl.max(least, 0)


@triton.jit
def listed(
    logits, kept, floor, lightest, top, scale, vocab, stride, WIDE: tl.constexpr
):  # fmt: skip
    """Lists the tokens with at least this key and weight, in ascending order. How many."""
    count = tl.zeros((), tl.int32)
    for start in range(0, vocab, WIDE):
        token = start + tl.arange(0, WIDE)
        x = loaded(logits, token, vocab, stride)
        stays = (ordered(x) >= floor) & (x > float("-inf")) & (token < vocab)
        stays = (stays & (weight(distance(x, top, scale)) >= lightest)).to(tl.int32)
        tl.store(kept + count + tl.cumsum(stays, 0) - stays, token, mask=stays > 0)
        count += tl.sum(stays, 0)
    tl.debug_barrier()  # other threads read what these wrote
    return count


@triton.jit
def drawn(
    logits, kept, count, stride, least, equals, lightest, first, second, top, scale,
    BLOCK: tl.constexpr, LISTED: tl.constexpr,
):  # fmt: skip
    """The token with the largest score: of all, or of the listed ones above a key and the first
    few that are at it."""
    value = tl.full((BLOCK,), float("-inf"), tl.float32)
    index = tl.full((BLOCK,), NEVER, tl.int32)
    for start in range(0, count, BLOCK):
        at = start + tl.arange(0, BLOCK)
        token = at
        if LISTED:
            token = tl.load(kept + at, mask=at < count, other=0)
            x = tl.load(logits + token, mask=at < count, other=float("-inf"))
        else:
            x = loaded(logits, token, count, stride)
        t = distance(x, top, scale)
        stays = x > float("-inf")
        if LISTED:
            same = (stays & (ordered(x) == least)).to(tl.int32)
            among = tl.cumsum(same, 0) <= equals
            stays &= (ordered(x) > least) | ((same > 0) & among)
            stays &= weight(t) >= lightest
            equals -= tl.sum(same, 0)
        points = score(t, scattered(token.to(tl.uint32)), first, second)
        points = tl.where(stays, points, float("-inf"))
        value, index = better(points, tl.where(stays, token, NEVER), value, index)
    _, index = first_of(value, index)
    return index


@triton.jit
def filtered(
    logits, kept, values, top_k, top_p, lightest, first, second, top, scale, vocab, stride,
    BLOCK: tl.constexpr, WIDE: tl.constexpr, BITS: tl.constexpr,
):  # fmt: skip
    """A draw of what top-k, top-p and min-p leave.

    First all are listed that may stay: by the largest of each lane for top-k, by their weight for
    the others. Tokens that weigh less than a quarter of an even share of 1 - top-p are not part of
    what weighs top-p.
    """
    floor, light = tl.zeros((), tl.uint32), tl.zeros((), tl.int64)
    if (top_k > 0) & (top_k <= BLOCK):
        lanes = tl.max(tl.reshape(values, (BLOCK, WIDE // BLOCK)), 1)
        floor = lanes_cut(lanes, top_k, BITS)
    if top_k == 0:
        if top_p < 1.0:
            sums = tl.zeros((WIDE,), tl.int64)
            for start in range(0, vocab, WIDE):
                token = start + tl.arange(0, WIDE)
                x = loaded(logits, token, vocab, stride)
                sums += weight(distance(x, top, scale))
            whole = tl.sum(sums, 0)
            light = (whole.to(tl.float64) * (0.25 * (1.0 - top_p))).to(tl.int64) // vocab
        else:
            whole = tl.zeros((), tl.int64)
            light = lightest
    else:
        whole = tl.zeros((), tl.int64)
    count = listed(logits, kept, floor, light, top, scale, vocab, stride, WIDE)
    least, equals = tl.zeros((), tl.uint32), tl.zeros((), tl.int64)
    if top_k > 0:
        wanted = tl.minimum(top_k, count).to(tl.int64)
        least, number, whole, each = cut(
            logits, kept, count, wanted, top, scale, BLOCK, BITS, False
        )
        equals = wanted - number
        whole += equals * each
    if top_p < 1.0:
        wanted = tl.maximum((whole.to(tl.float64) * top_p).to(tl.int64), 1)
        least, number, whole, each = cut(logits, kept, count, wanted, top, scale, BLOCK, BITS, True)
        equals = (wanted - whole + each - 1) // tl.maximum(each, 1)
    return drawn(
        logits, kept, count, stride, least, equals, lightest, first, second, top, scale,
        BLOCK, True,
    )  # fmt: skip


@triton.jit
def sample(
    logits, scales, top_ks, top_ps, leasts, seeds, choices, positions, tokens, largest, kept, vocab,
    stride, BLOCK: tl.constexpr, WIDE: tl.constexpr, BITS: tl.constexpr,
):  # fmt: skip
    """tokens[row], and largest[row], its logit; grid: (rows,).

    logits [rows, stride] float32, of which the first `vocab` of each row count; `stride` is a
    multiple of 16. By row, as `DrawRule` has them: scales float32 (0: the largest is taken), top_ks
    int32, top_ps float64, leasts int64; seeds int64, choices and positions int32. Of a row with
    NaN, or whose largest is infinite, the token is -1, and `largest` says which.
    kept [rows, stride] int32 is scratch memory.

    No bit depends on the constants: WIDE tokens, a multiple of BLOCK, are looked at together where
    little is made of them, and BLOCK where much is; BITS are found at once in the search for a key.
    """
    row = tl.program_id(0).to(tl.int64)
    logits, kept = logits + row * stride, kept + row * stride
    values = tl.full((WIDE,), float("-inf"), tl.float32)
    index = tl.full((WIDE,), NEVER, tl.int32)
    wrong = tl.zeros((WIDE,), tl.int32)
    for start in range(0, vocab, WIDE):
        token = start + tl.arange(0, WIDE)
        x = loaded(logits, token, vocab, stride)
        wrong |= (x != x).to(tl.int32)
        values, index = better(x, token, values, index)
    top, token = first_of(values, index)
    top = tl.where(tl.max(wrong, 0) > 0, float("nan"), top)
    scale, top_k = tl.load(scales + row), tl.load(top_ks + row)
    top_p, least = tl.load(top_ps + row), tl.load(leasts + row)
    if (top >= -LARGEST) & (top <= LARGEST):
        if scale > 0.0:
            seed = tl.load(seeds + row).to(tl.uint64, bitcast=True)
            choice = tl.load(choices + row).to(tl.uint64)
            key = key_of(seed, choice, tl.load(positions + row).to(tl.uint64))
            first, second = key.to(tl.uint32), (key >> 32).to(tl.uint32)
            if (top_k > 0) | (top_p < 1.0) | (least > 0):
                token = filtered(
                    logits, kept, values, top_k, top_p, least, first, second, top, scale, vocab,
                    stride, BLOCK, WIDE, BITS,
                )  # fmt: skip
            else:
                zero, none = tl.zeros((), tl.uint32), tl.zeros((), tl.int64)
                token = drawn(
                    logits, kept, vocab, stride, zero, none, least, first, second, top, scale,
                    BLOCK, False,
                )  # fmt: skip
    else:
        token = tl.full((), NONE, tl.int32)
    tl.store(tokens + row, token)
    tl.store(largest + row, top)


@triton.jit
def adjust(
    logits, starts, ends, ids, biases, counts, repetitions, presences, frequencies, stride,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Bias and penalties, in place; grid: (rows,). Whoever wants a row as the model had it, for
    log-probabilities, copies it before.

    logits [rows, stride] float32. Entries starts[row] to ends[row] are of the row, each with an id
    of its own (int32), a bias (float32), and how often the answer has it (int32); -1 if neither
    prompt nor answer has it. The three penalties are float32, by row. As
    `raylax.worker.sampling.adjustment`, bit for bit.
    """
    row = tl.program_id(0).to(tl.int64)
    repetition, presence = tl.load(repetitions + row), tl.load(presences + row)
    frequency, end = tl.load(frequencies + row), tl.load(ends + row)
    for start in range(tl.load(starts + row), end, BLOCK):
        at = start + tl.arange(0, BLOCK)
        token = tl.load(ids + at, mask=at < end, other=0)
        count = tl.load(counts + at, mask=at < end, other=-1)
        place = logits + row * stride + token
        x = tl.load(place, mask=at < end, other=0.0)
        x += tl.load(biases + at, mask=at < end, other=0.0)
        penalty = tl.where(count >= 0, repetition, 1.0)
        y = tl.where(x > 0.0, tl.div_rn(x, penalty), x * penalty)
        y = tl.where(y > LARGEST, LARGEST, tl.where(y < -LARGEST, -LARGEST, y))
        x = tl.where(penalty != 1.0, y, x)
        x = tl.where(count > 0, x - presence, x)
        x = tl.where(count > 0, x - frequency * count.to(tl.float32), x)
        tl.store(place, x, mask=at < end)
