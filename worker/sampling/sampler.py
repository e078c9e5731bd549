"""Draws the next token from one row of logits, as `kernels/draws/definition.py` says.

Rows are independent, and the draw is keyed by (seed, choice, position) rather than taken from a
stream of random numbers: what else is in the batch, or was drawn before, changes nothing (law 1).
"""

import math

import numpy as np
import numpy.typing as npt

from raylax.kernels.draws.definition import UNIT_BITS, DrawRule, distance, key_of, wanted, weight
from raylax.proto.vocabulary import Sampling, TokenLogprobs
from raylax.worker.sampling.adjustment import Adjustment, Logits, is_adjusted
from raylax.worker.sampling.race import CHUNK, vocabulary, winner

Ids = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]
LANES = 2048
"""Parts of a vocabulary of which each has a largest token, found side by side."""
FEW = 1024
"""So many tokens are weighed exactly at once."""
ABOUT = 1e-5
"""By how much a sum of float32 may be wrong, with much to spare."""
LEAST_FINITE = float(np.finfo(np.float32).min)
"""In place of a log-probability of -inf: a number in any API, also where it has 32 bits."""


def is_plain_greedy(sampling: Sampling) -> bool:
    """Whether the largest raw logit is the answer: the compiled argmax has it already."""
    return sampling.greedy and not is_adjusted(sampling)


def largest(logits: Logits, count: int) -> Ids:
    """Ids of the `count` largest, in ascending order; of equal ones those with the lower ids.

    Each lane has a largest, so what is less than the lanes' count-th largest is left out first.
    """
    if not 0 < count <= LANES // 4 or len(logits) < 8 * LANES:
        return largest_of(logits, count)
    lanes = logits[: len(logits) // LANES * LANES].reshape(-1, LANES).max(axis=0)
    ids = np.flatnonzero(logits >= np.partition(lanes, LANES - count)[LANES - count])
    return ids[largest_of(logits[ids], count)]


def largest_of(logits: Logits, count: int) -> Ids:
    """The same, in one go."""
    if count >= len(logits):
        return np.arange(len(logits))
    if count == 0:
        return np.empty(0, np.int64)
    least = np.partition(logits, len(logits) - count)[len(logits) - count]
    ids = np.flatnonzero(logits >= least)
    return ids if len(ids) == count else above(logits, least, count - int((logits > least).sum()))


def above(logits: Logits, least: np.float32, equals: int) -> Ids:
    """Ids of what is larger than `least`, and of the first few that equal it."""
    ids = np.flatnonzero(logits >= least)
    same = np.flatnonzero(logits[ids] == least)
    return np.delete(ids, same[equals:])


def likeliest(logits: Logits, count: int) -> Ids:
    """Ids of the `count` largest, largest first; among equals the lower id."""
    ids = largest(logits, count)
    return ids[np.argsort(-logits[ids], kind="stable")]


def exponentials(logits: Logits) -> Doubles:
    """Weights of the tokens in proportion to the likeliest, which has 1. In one piece of memory: a
    vocabulary's worth of new memory takes longer to get than to fill."""
    out = logits.astype(np.float64)
    out -= logits.max()
    return np.exp(out, out=out)


class NotFinite(ArithmeticError):
    """What the model came to for a sequence is no number, and nothing can be drawn from it."""


def check_finite(largest: float) -> None:
    """Raises NotFinite for a row of which this is the largest value: NaN if there is one in it.
    Single values may be -inf: these tokens are never drawn."""
    if not math.isfinite(largest):
        raise NotFinite(f"the largest logit is {largest:g}, which is not finite")


def candidates(logits: Logits, top: np.float32, rule: DrawRule) -> Ids | None:
    """What top-k, top-p and min-p leave, ids in ascending order; None: every token."""
    ids = largest(logits, rule.top_k) if 0 < rule.top_k < len(logits) else None
    if rule.top_p == 1.0 and not rule.least:
        return ids
    some = logits if ids is None else logits[ids]
    left = nucleus(some, top, rule) if rule.top_p < 1.0 else near(some, top, rule)
    if rule.least:
        left = left[weights_of(some[left], top, rule.scale) >= rule.least]
    return left if ids is None else ids[left]


def near(logits: Logits, top: np.float32, rule: DrawRule) -> Ids:
    """All that min-p may leave, and few others: those of about its weight and more."""
    below = (math.log2(rule.least) - UNIT_BITS - 1e-3) / rule.scale
    return np.flatnonzero(logits >= float(top) + below - abs(1e-6 * below))


def weights_of(logits: Logits, top: np.float32, scale: float) -> Ids:
    """Integers that say how likely each token is, in proportion to the row's likeliest."""
    out = np.empty(len(logits), np.int64)
    for at in range(0, len(logits), CHUNK):
        part = slice(at, at + CHUNK)
        out[part] = weight(distance(logits[part], top, np.float32(scale)))
    return out


def nucleus(logits: Logits, top: np.float32, rule: DrawRule) -> Ids:
    """The fewest, largest first, that weigh at least top-p of all; ids in ascending order.

    What all weigh is added up about, which takes a fifth of the time. Only if that leaves open
    where the nucleus ends it is added up exactly.
    """
    if len(logits) <= FEW:
        heavy, about = np.arange(len(logits)), None
    else:
        heavy, about = those_of_weight(logits, top, rule)
    some = logits[heavy]
    falling = np.sort(some)[::-1]
    sums = np.cumsum(weights_of(falling, top, rule.scale))
    if about is None:
        last = int(np.searchsorted(sums, wanted(int(sums[-1]), rule.top_p)))
    else:
        ends = [wanted(int(about * error), rule.top_p) for error in (1 - ABOUT, 1 + ABOUT)]
        last, other = map(int, np.searchsorted(sums, ends))
        if last != other:
            total = int(weights_of(logits, top, rule.scale).sum())
            last = int(np.searchsorted(sums, wanted(total, rule.top_p)))
    least = falling[last]
    return heavy[above(some, least, last + 1 - int((some > least).sum()))]


def those_of_weight(logits: Logits, top: np.float32, rule: DrawRule) -> tuple[Ids, float]:
    """All that may be of the nucleus, and about what all tokens weigh.

    Those left out weigh less than 1 - top_p even together (a half of it, which leaves room for
    rounding), so none of them belongs to it.
    """
    weights = np.empty(len(logits), np.float32)
    total = 0.0
    for at in range(0, len(logits), CHUNK):
        out = weights[at : at + CHUNK]
        np.exp2(distance(logits[at : at + CHUNK], top, np.float32(rule.scale)), out=out)
        total += float(out.sum())
    heavy = np.flatnonzero(weights >= 0.5 * (1.0 - rule.top_p) * total / len(logits))
    return heavy, total * 2.0**UNIT_BITS


def sample(
    logits: Logits, sampling: Sampling, choice: int, position: int, adjustment: Adjustment
) -> int:
    """The token that comes at this position of the answer; `adjustment` has been told of those
    before. Raises NotFinite."""
    row = adjustment.apply(logits)
    top = row.max()
    check_finite(float(top))
    if sampling.greedy:
        return int(row.argmax())
    rule = DrawRule.of(sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p)
    key = key_of(sampling.seed, choice, position)
    tokens = vocabulary(len(row))
    with np.errstate(over="ignore"):  # a tiny temperature: all but the largest are at -inf
        ids = candidates(row, top, rule)
        if ids is None:
            return winner(row, top, rule.scale, tokens, key)
        return int(ids[winner(row[ids], top, rule.scale, tokens[ids], key)])


def log_probabilities(logits: Logits, token: int, top: int) -> TokenLogprobs:
    """The token's own and those of the `top` likeliest, of the raw logits: what the model thinks,
    whatever the sampling made of it."""
    total = float(logits.max()) + math.log(float(exponentials(logits).sum()))

    def of(one: int) -> float:
        return max(float(logits[one]) - total, LEAST_FINITE)

    return TokenLogprobs(of(token), tuple((int(one), of(one)) for one in likeliest(logits, top)))
