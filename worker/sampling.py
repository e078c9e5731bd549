"""Draws the next token from one row of logits.

Rows are independent, and the draw is keyed by (seed, choice, position) rather than taken from a
stream of random numbers: what else is in the batch, or was drawn before, changes nothing (law 1).
"""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from raylax.proto.vocabulary import Sampling, TokenLogprobs

Logits = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
MASK = (1 << 64) - 1


def mix(z: int) -> int:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection of 64 bits."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def uniform(seed: int, choice: int, position: int) -> float:
    """In [0, 1), 53 bits, from the key alone."""
    key = seed & MASK
    for part in (choice, position):
        key = mix((key + 0x9E3779B97F4A7C15 * (part + 1)) & MASK)
    return (mix(key) >> 11) * 2.0**-53


def needs_history(sampling: Sampling) -> bool:
    return bool(
        sampling.repetition_penalty != 1.0
        or sampling.presence_penalty
        or sampling.frequency_penalty
    )


def is_plain_greedy(sampling: Sampling) -> bool:
    """The largest raw logit is the answer: the compiled argmax has it already."""
    return sampling.greedy and not sampling.logit_bias and not needs_history(sampling)


def adjusted(
    logits: Logits, sampling: Sampling, prompt: Sequence[int], answer: Sequence[int]
) -> Logits:
    """Bias and penalties. Repetition counts prompt and answer, the other two the answer alone."""
    out = logits.copy()
    for token, bias in sampling.logit_bias:
        out[token] += bias
    if sampling.repetition_penalty != 1.0:
        seen = np.unique(np.array([*prompt, *answer], np.int64))
        penalty = np.float32(sampling.repetition_penalty)
        out[seen] = np.where(out[seen] > 0, out[seen] / penalty, out[seen] * penalty)
    if answer and (sampling.presence_penalty or sampling.frequency_penalty):
        counts = Counter(answer)
        tokens = np.fromiter(counts, np.int64, len(counts))
        often = np.fromiter(counts.values(), np.float32, len(counts))
        out[tokens] -= np.float32(sampling.presence_penalty)
        out[tokens] -= np.float32(sampling.frequency_penalty) * often
    return out


def probabilities(logits: Logits, sampling: Sampling) -> Doubles:
    """After temperature, top-k, top-p and min-p, in this order; they sum to 1.

    Among equal logits the lower token id counts as the more likely.
    """
    scaled = logits.astype(np.float64) / sampling.temperature
    weights = np.exp(scaled - scaled.max())
    if sampling.top_k or sampling.top_p < 1.0:
        order = np.argsort(-scaled, kind="stable")
        keep = min(sampling.top_k or len(order), len(order))
        if sampling.top_p < 1.0:
            so_far = np.cumsum(weights[order[:keep]])
            enough = sampling.top_p * so_far[-1]
            keep = min(keep, int(np.searchsorted(so_far, enough)) + 1)
        weights[order[keep:]] = 0.0
    if sampling.min_p:
        weights[weights < sampling.min_p * weights.max()] = 0.0
    normalised: Doubles = weights / weights.sum()
    return normalised


def draw(weights: Doubles, at: float) -> int:
    """The token in whose share of the line 0..1 the number falls."""
    sums = np.cumsum(weights)
    token = int(np.searchsorted(sums, at * sums[-1], side="right"))
    return min(token, int(np.flatnonzero(weights)[-1]))


def sample(
    logits: Logits,
    sampling: Sampling,
    choice: int,
    prompt: Sequence[int],
    answer: Sequence[int],
) -> int:
    """The next token of a request whose answer is `answer` so far."""
    row = adjusted(logits, sampling, prompt, answer)
    if sampling.greedy:
        return int(row.argmax())
    return draw(probabilities(row, sampling), uniform(sampling.seed, choice, len(answer)))


def log_probabilities(logits: Logits, token: int, top: int) -> TokenLogprobs:
    """Of the raw logits: what the model thinks, whatever the sampling made of it."""
    row = logits.astype(np.float64)
    peak = float(row.max())
    total = peak + math.log(float(np.exp(row - peak).sum()))
    best = np.argsort(-row, kind="stable")[:top]
    return TokenLogprobs(
        float(row[token]) - total, tuple((int(t), float(row[t]) - total) for t in best)
    )
