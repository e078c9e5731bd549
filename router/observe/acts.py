"""What admins had done by a router, for who asks later who did what."""

import time
from collections import deque
from collections.abc import Callable

from pydantic import BaseModel

KEPT = 32
"""The last ones, which Metrics is told every second: it may be away for a while."""
MOST_CHARACTERS = 200
"""Of what is told: a path is the client's own."""


class Act(BaseModel):
    """One of them."""

    at: float
    """Seconds since the epoch; later ones are later."""
    who: str
    """The name of the key; empty where there are none."""
    what: str


class Acts:
    """The last ones, the oldest first. Used by one event loop."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock, self._last = clock, deque[Act](maxlen=KEPT)

    def add(self, who: str, what: str) -> None:
        """It was done just now."""
        self._last.append(Act(at=self._clock(), who=who, what=what[:MOST_CHARACTERS]))

    @property
    def last(self) -> list[Act]:
        """Those that are kept."""
        return [*self._last]
