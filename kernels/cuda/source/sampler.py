"""The next token of each row: the largest logit, or a draw from what top-k and top-p leave.

A draw is Gumbel-max with noise that follows from (seed, position, token) alone, so a row draws the
same whatever shares its batch. A row has one program; counts and weights are integers, which have
one sum in every order. Ties go to the least token.
"""

import triton
import triton.language as tl

UNIT = tl.constexpr(1073741824.0)  # weights are kept in units of 2^-30 of the likeliest token's


@triton.jit
def better(value, index, other_value, other_index):
    wins = (value > other_value) | ((value == other_value) & (index < other_index))
    return tl.where(wins, value, other_value), tl.where(wins, index, other_index)


@triton.jit
def ordered(x):
    """float32 as int64 from 0, in the same order."""
    bits = x.to(tl.int32, bitcast=True)
    return tl.where(bits < 0, ~bits, bits | -2147483648).to(tl.uint32, bitcast=True).to(tl.int64)


@triton.jit
def argmax(logits, tokens, vocab, BLOCK: tl.constexpr):
    """Grid: (rows,)."""
    row, at = tl.program_id(0).to(tl.int64), tl.arange(0, BLOCK)
    value = tl.full((BLOCK,), float("-inf"), tl.float32)
    index = tl.full((BLOCK,), 2147483647, tl.int32)
    for start in range(0, vocab, BLOCK):
        token = start + at
        x = tl.load(logits + row * vocab + token, mask=token < vocab, other=float("-inf"))
        value, index = better(x, token, value, index)
    value, index = tl.reduce((value, index), 0, better)
    tl.store(tokens + row, index)


@triton.jit
def measure(x, top, scale, keys, KEYS: tl.constexpr):
    """A block's tokens at or above each of a few thresholds: how many, and their weight."""
    weight = (tl.exp2((x - top) * scale) * UNIT).to(tl.int64)
    there = (ordered(x)[:, None] >= keys[None, :]) & (x > float("-inf"))[:, None]
    return tl.sum(there.to(tl.int64), 0), tl.sum(tl.where(there, weight[:, None], 0), 0)


@triton.jit
def sample(
    logits, temperatures, top_ks, top_ps, seeds, positions, tokens, vocab,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Grid: (rows,). A temperature of 0 takes the largest; a top-k of 0 and a top-p of 1 keep all.

    The least key kept is found digit by digit, four bits at a time. What is kept is the least set
    of likeliest tokens with top-k's count, cut to the least one of them with top-p's share of it.
    """
    row, at = tl.program_id(0).to(tl.int64), tl.arange(0, BLOCK)
    logits += row * vocab
    temperature = tl.load(temperatures + row)
    top_k, top_p = tl.load(top_ks + row), tl.load(top_ps + row)
    seed, position = tl.load(seeds + row), tl.load(positions + row)
    scale = 1.4426950408889634 / tl.where(temperature > 0, temperature, 1.0)

    tops = tl.full((BLOCK,), float("-inf"), tl.float32)
    for start in range(0, vocab, BLOCK):
        token = start + at
        x = tl.load(logits + token, mask=token < vocab, other=float("-inf"))
        tops = tl.maximum(tops, x)
    top = tl.max(tops, 0)

    digit = tl.arange(0, 16).to(tl.int64)
    least = tl.zeros((1,), tl.int64)  # the least key kept so far
    if (temperature > 0) & (top_k > 0):
        for step in range(8):
            keys = least + (digit << (28 - 4 * step))
            count = tl.zeros((16,), tl.int64)
            for start in range(0, vocab, BLOCK):
                token = start + at
                x = tl.load(logits + token, mask=token < vocab, other=float("-inf"))
                some, _ = measure(x, top, scale, keys, 16)
                count += some
            best = tl.max(tl.where(count >= tl.minimum(top_k, vocab), digit, 0), 0)
            least += best << (28 - 4 * step)
    if (temperature > 0) & (top_p < 1.0):
        floor = least + digit * 0
        whole = tl.zeros((16,), tl.int64)
        for start in range(0, vocab, BLOCK):
            token = start + at
            x = tl.load(logits + token, mask=token < vocab, other=float("-inf"))
            _, some = measure(x, top, scale, floor, 16)
            whole += some
        wanted = (whole.to(tl.float64) * top_p).to(tl.int64)
        cut = tl.zeros((1,), tl.int64)
        for step in range(8):
            keys = cut + (digit << (28 - 4 * step))
            weight = tl.zeros((16,), tl.int64)
            for start in range(0, vocab, BLOCK):
                token = start + at
                x = tl.load(logits + token, mask=token < vocab, other=float("-inf"))
                _, some = measure(x, top, scale, tl.maximum(keys, floor), 16)
                weight += some
            best = tl.max(tl.where((weight >= wanted) & (weight > 0), digit, 0), 0)
            cut += best << (28 - 4 * step)
        least = tl.maximum(least, cut)

    value = tl.full((BLOCK,), float("-inf"), tl.float32)
    index = tl.full((BLOCK,), 2147483647, tl.int32)
    kept = tl.min(least, 0)
    for start in range(0, vocab, BLOCK):
        token = start + at
        x = tl.load(logits + token, mask=token < vocab, other=float("-inf"))
        score = x
        if temperature > 0:
            bits, _, _, _ = tl.philox(seed, token, position, 0, 0)
            uniform = ((bits >> 9).to(tl.float32) + 0.5) * 1.1920928955078125e-07
            score = x * (scale * 0.6931471805599453) - tl.log(-tl.log(uniform))
            score = tl.where(ordered(x) >= kept, score, float("-inf"))
        value, index = better(score, token, value, index)
    value, index = tl.reduce((value, index), 0, better)
    tl.store(tokens + row, index)
