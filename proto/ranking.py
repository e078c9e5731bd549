"""Who has most, where values change often and are seldom asked for."""

from heapq import heapify, heappop, heappush
from itertools import count


class Ranking:
    """Names with values. A value is set in constant time, and who has most is found in the
    logarithm of their number for each that was set since the last time."""

    def __init__(self) -> None:
        self._values: dict[str, float] = {}
        self._since: dict[str, int] = {}
        self._counter = count()
        self._changed: dict[str, None] = {}
        self._heap: list[tuple[float, int, str]] = []
        """For each name that has not changed the value that it has, and others that nobody has any
        more."""

    def __len__(self) -> int:
        return len(self._values)

    def set(self, name: str, value: float) -> None:
        """The name has this value from now on."""
        if name not in self._values:
            self._since[name] = next(self._counter)
        self._values[name] = value
        self._changed[name] = None

    def discard(self, name: str) -> None:
        """The name is none any more, if it was one."""
        if self._values.pop(name, None) is not None:
            del self._since[name]
            self._changed.pop(name, None)

    @property
    def first(self) -> str:
        """The name with the greatest value; of several the one that has been there for the longest
        time. Raises ValueError when there is none."""
        if not self._values:
            raise ValueError("nobody has any")
        if len(self._heap) > 2 * len(self._values) + 16:
            self._heap = [self._entry(name) for name in self._values]
            heapify(self._heap)
        else:
            for name in self._changed:
                heappush(self._heap, self._entry(name))
        self._changed.clear()
        while (top := self._heap[0]) != self._entry(top[2]):
            heappop(self._heap)
        return top[2]

    def _entry(self, name: str) -> tuple[float, int, str]:
        return -self._values.get(name, 0), self._since.get(name, -1), name
