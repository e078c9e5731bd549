"""From a wish to an order: up at once, down late, to none when nobody comes."""

from typing import NamedTuple

from raylax.cluster.autoscaling.means import Most
from raylax.cluster.autoscaling.snapshot import Snapshot

DOWN_STARTS, DOWN_S = 0.5, 10.0
"""Down to the highest wish of so many starts, and of so long at least."""
LEARN_S = 60.0
"""No step down so soon after the first look, nor within a start of it: too little is known."""


class Step(NamedTuple):
    """What is ordered, and why."""

    choice: int
    reason: str


class Steps:
    """What is remembered of the wishes of one model."""

    def __init__(self, idle_s: float = 300.0) -> None:
        """`idle_s`: without a request that comes or runs, until it is down to the least, which may
        be none."""
        self._idle_s = idle_s
        self._wished = Most()
        self._began: float | None = None
        self._idle_since = 0.0

    def of(self, t: Snapshot, wish: int) -> Step:
        """The order. `wish`: workers that would be right now."""
        if self._began is None:
            self._began = self._idle_since = t.now
        if t.prompt or t.arrived or t.busy or not t.ready:  # who starts is not idle yet
            self._idle_since = t.now
        highest = self._wished.of(t.now, wish, max(DOWN_S, DOWN_STARTS * t.start_s))
        if t.now - self._idle_since > self._idle_s:
            return Step(t.least, f"nobody has come for {self._idle_s:g} s: down to the least")
        if t.target == 0 and not (t.queued or t.arrived):
            return Step(t.least, "nobody asks")
        if wish < t.target and t.now - self._began < max(LEARN_S, t.start_s):
            return bounded(t, t.target, "too early for a step down")
        if wish > t.target:
            return bounded(t, wish, "more is needed")
        if highest < t.target:
            return bounded(t, highest, "less has been enough for a while")
        return bounded(t, t.target, "as many as are needed")


def bounded(t: Snapshot, wish: int, reason: str) -> Step:
    """Between the least and the most, and at least one while there is anybody to serve."""
    least = max(1, t.least)
    if wish > t.most:
        return Step(t.most, f"{reason}, the most is {t.most}")
    return Step(wish, reason) if wish >= least else Step(least, f"{reason}, the least is {least}")
