"""What is recorded of an engine while it runs: the last events, as cheap as they can be had."""

from collections import deque
from typing import Any

MOST_EVENTS = 100_000
"""Of a process. A step of one sequence leaves about ten, each further sequence one more."""


class EventRing:
    """Keeps the last events. One thread adds, any may look."""

    def __init__(self, most: int = MOST_EVENTS) -> None:
        self.most = most
        self._events: deque[Any] = deque(maxlen=most)
        self._added = 0

    def add(self, event: Any) -> None:
        """Keep an event; the oldest one may have to go."""
        self._added += 1
        self._events.append(event)

    @property
    def events(self) -> list[Any]:
        """Those that are kept, the oldest first."""
        return list(self._events)

    @property
    def dropped(self) -> int:
        """How many had to go."""
        return self._added - min(self._added, self.most)
