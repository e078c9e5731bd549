"""Strings that end an answer, looked for in its text while it streams."""

from array import array
from collections.abc import Sequence
from functools import lru_cache


class StopPattern:
    """One stop string, looked for by Knuth, Morris and Pratt: no character is read twice. In a long
    text Python's own search finds it sooner, and the last letters alone may begin it."""

    def __init__(self, stop: str) -> None:
        self.stop = stop
        self._shorter = array("H", [0])  # by length - 1 of a beginning: its longest border
        size = 0
        for letter in stop[1:]:
            while size and letter != stop[size]:
                size = self._shorter[size - 1]
            size += letter == stop[size]
            self._shorter.append(size)

    def advance(self, size: int, text: str) -> tuple[int, int | None]:
        """How much of its beginning the text ends with, `size` being that before this text; and
        where in it the stop string ends, if it does."""
        stop, at = self.stop, 0
        if len(text) > 2 * len(stop):
            if (begin := (stop[:size] + text).find(stop)) >= 0:
                return len(stop), begin + len(stop) - size
            size, text = 0, text[-len(stop) :]
        while at < len(text):
            if size == 0:
                if (at := text.find(stop[0], at)) < 0:
                    return 0, None
            elif text[at] != stop[size]:
                size = self._shorter[size - 1]
                continue
            size, at = size + 1, at + 1
            if size == len(stop):
                return size, at
        return size, None


@lru_cache(maxsize=1024)
def pattern_of(stop: str) -> StopPattern:
    """Made once for all choices of a call."""
    return StopPattern(stop)


class StopStrings:
    """Cuts streaming text at the first stop string, wherever token borders lie. A character costs
    the same for each stop string, whatever came before."""

    def __init__(
        self, stops: Sequence[str], own: Sequence[str] = (), included: bool = False
    ) -> None:
        """`own`: the model's, which end every answer of it, and of which nobody is told. The text
        is cut before a stop string, or behind it if those that are asked for are `included`."""
        self._patterns = [pattern_of(stop) for stop in dict.fromkeys((*stops, *own))]
        self._asked, self.included = frozenset(stops), included
        self._sizes = [0] * len(self._patterns)
        self._held = ""
        self.matched: str | None = None
        """The stop string that was found, if it is one that was asked for."""
        self.stopped = False

    @property
    def wanted(self) -> bool:
        """Whether there is any to look for."""
        return bool(self._patterns)

    def add(self, text: str) -> str:
        """What can be given out: nothing that may yet turn out to begin a stop string."""
        if self.stopped or not self._patterns:
            return "" if self.stopped else text
        ends: list[tuple[int, int, str]] = []
        for i, pattern in enumerate(self._patterns):
            self._sizes[i], end = pattern.advance(self._sizes[i], text)
            if end is not None:
                ends.append((end, -len(pattern.stop), pattern.stop))
        before = len(self._held)
        self._held += text
        if ends:  # the one that ends first: another could depend on how much came at once
            end, size, stop = min(ends)
            asked, self.stopped = stop in self._asked, True
            self.matched = stop if asked else None
            return self._release(before + end + (0 if asked and self.included else size))
        return self._release(len(self._held) - max(self._sizes))

    def end_at(self, stop: str) -> str:
        """Ends here, by a token whose name this stop string is; what of that is told."""
        if self.stopped:
            return ""
        self.matched, self.stopped = stop, True
        return stop if self.included else ""

    def finish(self) -> str:
        """What was held back, if no stop string was found."""
        return "" if self.stopped else self._release(len(self._held))

    def _release(self, count: int) -> str:
        out, self._held = self._held[:count], self._held[count:]
        return out
