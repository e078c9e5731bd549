"""How long workers take from order to ready, measured by who orders them."""

from collections import deque
from statistics import median

KEPT = 9
"""Of the last starts the median counts: one that failed, or was slow, does not."""
UNKNOWN_S = 60.0
"""Before anything is known."""


class StartTimes:
    """Orders that are under way, and the last starts."""

    def __init__(self) -> None:
        self.measured: deque[float] = deque(maxlen=KEPT)
        """Seconds, the newest last."""
        self._ordered: deque[float] = deque()  # when, the oldest first
        self._target = self._ready = 0
        self._began = False

    def see(self, now: float, target: int, ready: int) -> None:
        """How many are asked for and how many are ready, now. Who becomes ready is who has waited
        longest; who is not wanted any more is who was ordered last. Who is there at the first look
        was started by nobody knows whom."""
        if not self._began:
            self._began, self._target, self._ready = True, ready, ready
        lost = self._ready - ready - max(0, self._target - target)
        more = max(0, target - self._target) + max(0, lost)
        self._ordered.extend([now] * more)
        for _ in range(min(ready - self._ready, len(self._ordered))):
            self.measured.append(now - self._ordered.popleft())
        while len(self._ordered) > max(0, target - ready):
            self._ordered.pop()
        self._target, self._ready = target, ready

    def median_s(self, said: float | None = None) -> float:
        """Of a start. `said`: what workers measured themselves, from their process's begin; it
        counts while no start was seen."""
        if self.measured:
            return median(self.measured)
        return said if said is not None else UNKNOWN_S

    @property
    def under_way(self) -> int:
        """Workers that are ordered and not ready."""
        return len(self._ordered)

    def first_for_s(self, now: float) -> float | None:
        """Seconds since the first of those was ordered; None if there is none."""
        return now - self._ordered[0] if self._ordered else None
