"""How many prefill tokens a step may hold beside those who decode: as many as keep their next
token within the target between two tokens.

A long prompt computed by full steps holds everybody's stream up for as long as those take. In
smaller chunks it costs the streams a part of each step, and its own first token comes later by what
the decodes take of those steps. It never starves: where decodes alone are near the target, or
beyond it, prefills have a part of the step all the same.
"""

from collections.abc import Collection
from math import inf
from typing import NamedTuple

from raylax.proto.vocabulary import Priority
from raylax.worker.scheduling.decision.prefill_time import PrefillTime

TIMES_QUIET = 2.5
"""So many times what its decodes alone take may a step take, where no target is set: three times,
less what steps differ from what is expected of them."""
TIMES_LOW = 3.0
"""So many times the target where only the lowest class waits for tokens: nobody reads along."""
LEAST_PART = 0.125
"""Of a step's time is the prefills', whatever the target."""
UNKNOWN = 64
"""Tokens, while it is not known what they take."""


class Budget(NamedTuple):
    """What prefills may have of a step."""

    tokens: int
    target_s: float = inf
    """For the whole step, which those are for."""
    floor: bool = False
    """The target leaves less than they have at least."""
    least_s: float = 0.0
    """What the step takes then."""


def step_target(
    quiet_s: float, itl_s: float | None, waiting_for_tokens: Collection[Priority]
) -> float:
    """Seconds that a step may take, whose decodes alone take `quiet_s`. `itl_s`: what was set; 0:
    as long as it likes; None: by what those take. `waiting_for_tokens`: the classes that decode."""
    if itl_s == 0 or not waiting_for_tokens or (itl_s is None and not quiet_s):
        return inf
    target_s = TIMES_QUIET * quiet_s if itl_s is None else itl_s
    return target_s * (TIMES_LOW if min(waiting_for_tokens) is Priority.LOW else 1.0)


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
