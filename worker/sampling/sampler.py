"""Draws the next token from one row of logits.

Rows are independent, and the draw is keyed by (seed, choice, position) rather than taken from a
stream of random numbers: what else is in the batch, or was drawn before, changes nothing (law 1).
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from raylax.proto.splitmix import MASK, mix
from raylax.proto.vocabulary import Sampling, TokenLogprobs
from raylax.worker.sampling.adjustment import Adjustment, Logits, is_adjusted

Ids = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]
LEAST_FINITE = float(np.finfo(np.float32).min)
"""In place of a log-probability of -inf: a number in any API, also where it has 32 bits."""
BLOCK = 1024
"""Weights that are looked at together, where a look at each would take longer than all else."""


def uniform(seed: int, choice: int, position: int) -> float:
    """A number in [0, 1), of 53 bits, from the key alone."""
    key = seed & MASK
    for part in (choice, position):
        key = mix((key + 0x9E3779B97F4A7C15 * (part + 1)) & MASK)
    return (mix(key) >> 11) * 2.0**-53


def is_plain_greedy(sampling: Sampling) -> bool:
    """Whether the largest raw logit is the answer: the compiled argmax has it already."""
    return sampling.greedy and not is_adjusted(sampling)


def likeliest(logits: Logits | Doubles, count: int) -> Ids:
    """Ids of the `count` largest, largest first; among equals the lower id. Sorts these alone."""
    least = np.inf
    if count := min(count, len(logits)):
        least = np.partition(logits, len(logits) - count)[len(logits) - count]
    ids = np.flatnonzero(logits >= least)
    return ids[ascending(-logits[ids])][:count]


def ascending(values: Logits | Doubles) -> Ids:
    """The indices in the order of the values; equal ones keep theirs.

    A stable sort of a whole vocabulary takes 13 ms. One that is not takes 2 ms, and what is left to
    do is to sort the indices of equal values."""
    if len(values) <= BLOCK:
        return np.argsort(values, kind="stable")
    order = np.argsort(values)
    inorder = values[order]
    larger = inorder[1:] != inorder[:-1]
    if larger.all():
        return order
    rank = np.zeros(len(values), np.int64)
    np.cumsum(larger, out=rank[1:])
    rank *= len(values)
    rank += order
    rank.sort()
    rank %= len(values)
    return rank


def exponentials(logits: Logits, temperature: float = 1.0) -> Doubles:
    """Weights of the tokens in proportion to the likeliest, which has 1. In one piece of memory: a
    vocabulary's worth of new memory takes longer to get than to fill."""
    out = logits.astype(np.float64)
    out -= logits.max()
    with np.errstate(over="ignore"):  # a tiny temperature: all but the largest have weight 0
        out /= temperature
    return np.exp(out, out=out)


class NotFinite(ArithmeticError):
    """What the model came to for a sequence is no number, and nothing can be drawn from it."""


def check_finite(largest: float) -> None:
    """Raises NotFinite for a row of which this is the largest value: NaN if there is one in it.
    Single values may be -inf: these tokens are never drawn."""
    if not math.isfinite(largest):
        raise NotFinite(f"the largest logit is {largest:g}, which is not finite")


class Candidates(NamedTuple):
    """Tokens that may be drawn, and how likely each is in proportion to the others."""

    ids: Ids | None
    """None: every token of the vocabulary."""
    weights: Doubles

    def among(self, kept: Ids) -> "Candidates":
        """The candidates at these indices."""
        return Candidates(kept if self.ids is None else self.ids[kept], self.weights[kept])


def candidates(logits: Logits, sampling: Sampling) -> Candidates:
    """What is left of a row after temperature, top-k, top-p and min-p, in this order."""
    ids = likeliest(logits, sampling.top_k) if sampling.top_k else None
    weights = exponentials(logits if ids is None else logits[ids], sampling.temperature)
    found = Candidates(ids, weights)
    if sampling.top_p < 1.0:
        found = found.among(nucleus(found.weights, sampling.top_p))
    if sampling.min_p:
        found = found.among(np.flatnonzero(found.weights >= sampling.min_p))  # the largest is 1
    return found


def nucleus(weights: Doubles, top_p: float) -> Ids:
    """The fewest, largest first, that weigh at least `top_p` of all.

    Those below the threshold weigh less than 1 - top_p even together (a half of it, which leaves
    room for rounding), so none of them belongs to it. Of the others a few mostly suffice, and more
    are sorted only if they don't.
    """
    total = weights.sum()
    heavy = np.flatnonzero(weights >= 0.5 * (1.0 - top_p) * total / len(weights))
    for count in (BLOCK, 8 * BLOCK, len(heavy)):
        order = heavy[likeliest(weights[heavy], count)]
        enough = int(np.searchsorted(np.cumsum(weights[order]), top_p * total))
        if enough < len(order):
            break
    return order[: enough + 1]


def draw(weights: Doubles, at: float) -> int:
    """The index in whose share of the line 0..1 the number falls: its block first, then itself."""
    ends = np.cumsum(np.add.reduceat(weights, np.arange(0, len(weights), BLOCK)))
    target = at * ends[-1]
    block = min(int(np.searchsorted(ends, target, side="right")), len(ends) - 1)
    first = block * BLOCK
    sums = np.cumsum(weights[first : first + BLOCK])
    if block:
        sums += ends[block - 1]
    found = int(np.searchsorted(sums, target, side="right"))
    if found < len(sums):
        return first + found
    return int(np.flatnonzero(weights[: first + found])[-1])  # rounding reached past the end


def sample(
    logits: Logits, sampling: Sampling, choice: int, position: int, adjustment: Adjustment
) -> int:
    """The token that comes at this position of the answer; `adjustment` has been told of those
    before. Raises NotFinite."""
    row = adjustment.apply(logits)
    check_finite(float(row.max()))
    if sampling.greedy:
        return int(row.argmax())
    ids, weights = candidates(row, sampling)
    drawn = draw(weights, uniform(sampling.seed, choice, position))
    return drawn if ids is None else int(ids[drawn])


def log_probabilities(logits: Logits, token: int, top: int) -> TokenLogprobs:
    """The token's own and those of the `top` likeliest, of the raw logits: what the model thinks,
    whatever the sampling made of it."""
    total = float(logits.max()) + math.log(float(exponentials(logits).sum()))

    def of(one: int) -> float:
        return max(float(logits[one]) - total, LEAST_FINITE)

    return TokenLogprobs(of(token), tuple((int(one), of(one)) for one in likeliest(logits, top)))
