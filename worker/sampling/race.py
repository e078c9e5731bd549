"""Which token's score is the largest, without computing them all.

The definition's noise (`kernels/draws/definition.py`) takes two logarithms a token. A bound of it
takes one word of bits, read as a float: what cannot win by that is left out. Mostly one is left.
"""

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from raylax.kernels.draws.definition import distance, halves, scattered, score, word

Floats = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint32]
CHUNK = 16_384
"""Tokens looked at together: all that is made of them stays in the nearest caches."""
ONE = 2.0**23
"""What the bits of a float grow by when it doubles: bounds are in these units of a power of two."""
LARGEST = float(np.finfo(np.float32).max)
SHIFT = 127 + 32 + math.log2(math.log(2))
"""-log2(-log2(1 - v)) is at most -log2(v / log(2)); of v = word / 2^32 the logarithm is at least
that of its float's bits, which are straight between powers of two."""
SLACK = 1e-3
"""More than all roundings, in powers of two."""


@lru_cache(maxsize=2)
def vocabulary(size: int) -> npt.NDArray[np.uint32]:
    """The scattered ids of a vocabulary, kept: they are of no draw."""
    return np.asarray(scattered(np.arange(size, dtype=np.uint32)))


def winner(logits: Floats, largest: np.float32, scale: float, tokens: Words, key: int) -> int:
    """The index of the largest score; the first among equals. `tokens`: scattered ids of these
    logits, in ascending order of the ids; `largest`: of the row."""
    first, second = halves(key)
    steep = np.float32(min(scale * ONE, LARGEST))
    least, found = -math.inf, []
    for at in range(0, len(logits), CHUNK):
        part = slice(at, at + CHUNK)
        words = word(tokens[part], first, second)
        bounds = logits[part] - largest
        bounds *= steep
        bounds -= words.astype(np.float32).view(np.int32).astype(np.float32)
        best = int(bounds.argmax())
        if bounds[best] >= bound_of(least):
            t = float(distance(logits[at + best], largest, np.float32(scale)))
            least = max(least, least_score(t, int(words[best])))
            there = np.flatnonzero(bounds >= bound_of(least))
            found.append((at + there, bounds[there]))
    left = np.concatenate([ids[bounds >= bound_of(least)] for ids, bounds in found])
    if len(left) == 1:
        return int(left[0])
    t = distance(logits[left], largest, np.float32(scale))
    return int(left[score(t, tokens[left], first, second).argmax()])


def bound_of(least: float) -> float:
    """What the bound of a token with this score is at least."""
    return (least - SHIFT - SLACK) * ONE


def least_score(t: float, high: int) -> float:
    """What a token's score is at least, by one of its words."""
    v = min((high + 1) * 2.0**-32, 1 - 2.0**-53)
    return t - math.log2(-math.log1p(-v) / math.log(2)) - SLACK
