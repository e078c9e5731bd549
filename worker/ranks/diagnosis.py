"""Which rank keeps the others waiting: a plain function of what each was seen to do (law 5)."""

from collections.abc import Sequence
from dataclasses import dataclass

from raylax.worker.ranks.rank import RankPosition

TIMEOUT_S = 2.5
"""For a rank to give a sign, or to come to where the others wait. Other processes may take its core
for a while; nothing takes it for as long as this."""


@dataclass(frozen=True, slots=True)
class RankSample:
    """One rank as it is seen at one moment."""

    rank: int
    stage: int
    position: RankPosition
    still_s: float = 0.0
    """Seconds since its position last changed, or a step began in which it could change."""
    silent_s: float = 0.0
    """Seconds since it was asked for a sign and gave none."""


def where(position: RankPosition) -> str:
    """A position in words: "in step 8 before allreduce 5", "after step 7"."""
    if not position.running:
        return f"after step {position.step}"
    before = "" if position.meeting is None else f" before allreduce {position.meeting + 1}"
    return f"in step {position.step}{before}"


def reached(position: RankPosition) -> tuple[int, int]:
    """The step, and how many meetings of it: a later position compares as greater."""
    return position.step, position.meeting or 0


def further(one: RankPosition, other: RankPosition) -> bool:
    """A rank that has ended a step is further than one that met as often and still runs it."""
    return (*reached(one), not one.running) > (*reached(other), not other.running)


def verdict(ranks: Sequence[RankSample], limit_s: float) -> tuple[int, str] | None:
    """The rank at fault and what it did; None while all may still come.

    A rank is behind when another shard of its stage has come further, or when it runs nothing
    though there is a later step: while it runs, a later stage may take as long as an earlier one
    has. To be behind is no fault, to be behind and not to move for `limit_s` is one; and so is
    silence.
    """
    for one in ranks:
        if one.silent_s > limit_s:
            return one.rank, f"has given no sign for {one.silent_s:.1f} s, {where(one.position)}"
    latest = max(one.position.step for one in ranks)
    for one in ranks:
        front = max(reached(other.position) for other in ranks if other.stage == one.stage)
        idle = not one.position.running and one.position.step < latest
        if (idle or reached(one.position) < front) and one.still_s > limit_s:
            words = f"stopped {where(one.position)}; the others have waited {one.still_s:.1f} s"
            return one.rank, words
    return None
