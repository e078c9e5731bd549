"""Strings that end an answer, looked for in its text while it streams."""

from collections.abc import Sequence


class StopStrings:
    """Cuts streaming text before the first stop string, wherever token borders lie."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.matched: str | None = None
        """The stop string that was found."""
        self.stopped = False

    @property
    def wanted(self) -> bool:
        """Whether there is any to look for."""
        return bool(self._stops)

    def add(self, text: str) -> str:
        """What can be given out: nothing that may yet turn out to begin a stop string."""
        if self.stopped or not self._stops:
            return "" if self.stopped else text
        self._held += text
        found = [
            (at + len(stop), at, stop) for stop in self._stops if (at := self._held.find(stop)) >= 0
        ]
        if found:  # the one that ends first: another could depend on how much came at once
            _, at, self.matched = min(found)
            self.stopped = True
            return self._release(at)
        return self._release(len(self._held) - self._pending())

    def finish(self) -> str:
        """What was held back, if no stop string was found."""
        return "" if self.stopped else self._release(len(self._held))

    def _release(self, count: int) -> str:
        out, self._held = self._held[:count], self._held[count:]
        return out

    def _pending(self) -> int:
        """Length of the longest ending of the held text that begins a stop string."""
        longest = max(len(stop) for stop in self._stops) - 1
        for size in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-size:]) for stop in self._stops):
                return size
        return 0
