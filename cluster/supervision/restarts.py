"""How often a cluster that served is started again: not for ever, where each one dies, too."""

from collections import deque
from collections.abc import Callable

MOST = 5
WITHIN_S = 600.0


class Restarts:
    """Counts them."""

    def __init__(
        self, clock: Callable[[], float], most: int = MOST, within_s: float = WITHIN_S
    ) -> None:
        self._clock, self._most, self._within_s = clock, most, within_s
        self._taken: deque[float] = deque()

    def take(self) -> bool:
        """Whether there may be one more now; it is counted."""
        now = self._clock()
        while self._taken and self._taken[0] <= now - self._within_s:
            self._taken.popleft()
        if len(self._taken) >= self._most:
            return False
        self._taken.append(now)
        return True

    @property
    def rule(self) -> str:
        """The limit, in words."""
        return f"{self._most} restarts within {self._within_s / 60:g} minutes"
