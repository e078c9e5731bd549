"""How many prefill tokens a step may hold beside those who decode: as many as keep their next
token within the target between two tokens (`targets.py`).

A long prompt computed by full steps holds everybody's stream up for as long as those take. In
smaller chunks it costs the streams a part of each step, and its own first token comes later by what
the decodes take of those steps. It never starves: where decodes alone are near the target, or
beyond it, prefills have a part of the step all the same.

An engine that knows no pace decodes alone once, begins with a small chunk, and what it has learned
of chunks is believed of those twice as long.
"""

from math import inf
from typing import NamedTuple

from raylax.worker.scheduling.pace.prefill_time import PrefillTime

LEAST_PART = 0.125
"""Of a step's time is the prefills', whatever the target."""
UNKNOWN = 16
"""Tokens, while it is not known what they take: a few, so that a stream hardly notices them on the
slowest machine, and a full step is soon reached."""
GROWTH = 2
"""So many times the longest chunk that was tried may the next one be."""


class Budget(NamedTuple):
    """What prefills may have of a step."""

    tokens: int
    target_s: float = inf
    """For the whole step, which those are for."""
    floor: bool = False
    """The target leaves less than they have at least."""
    least_s: float = 0.0
    """What the step takes then."""


def within_reach(most: int, tried: int) -> int:
    """Tokens, `most` at most, of which it can be said what they take, where so many were tried at
    once."""
    return min(most, max(UNKNOWN, GROWTH * tried))


def prefill_budget(
    quiet_s: float,
    prefill: PrefillTime,
    decoding: int,
    before: int,
    target_s: float,
    most: int,
    tile: int = 1,
    read_s: float = 0.0,
) -> Budget:
    """Tokens, `most` at most, beside `decoding` rows that alone take `quiet_s`. `before`: tokens
    that stand before the first ones, and `read_s`: what reading those takes. A tile's tokens at
    least, as far as there are so many: rows are computed `tile` at a time, and so chunks end where
    a tile does."""
    if target_s == inf or not decoding:
        return Budget(most)
    if not any(prefill):
        return Budget(min(most, UNKNOWN), target_s)
    others_s = quiet_s + read_s
    left, least = target_s - others_s, others_s * LEAST_PART / (1 - LEAST_PART)
    fitting = prefill.tokens_within(max(left, least), before)
    if fitting >= most:
        return Budget(most, target_s)
    rows = (decoding + int(fitting)) // tile * tile
    whole = rows - decoding if rows > decoding else tile
    return Budget(min(most, whole), target_s, left < least, others_s + least)
