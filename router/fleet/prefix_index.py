"""Which worker has which prefix in its pages: names of pages, and a bit for each worker.

Fed by the page events that come with step reports; what this router has just sent somewhere counts
as being there for some seconds, since its pages will be. A wrong entry costs a detour and nothing
else, so that the index may forget: it is bounded in bytes.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from raylax.router.fleet.table import Reals

ENTRY_BYTES = 512
"""A name in the index and in the sets of two or three workers, as CPython keeps it."""
MOST_BYTES = 256 << 20
PROMISE_S = 5.0


class Promise(NamedTuple):
    """Pages that will be at a row, since a request with them was sent there."""

    until: float
    row: int
    names: Sequence[int]


class PrefixIndex:
    """The rows of the fleet at which each page is, by the page's name: bit n of an entry stands for
    row n."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = max(1, most_bytes // ENTRY_BYTES)
        self._holders: dict[int, int] = {}
        self._reported: dict[int, set[int]] = {}  # by row: what its worker said it has
        self._promises: deque[Promise] = deque()

    def __len__(self) -> int:
        return len(self._holders)

    def apply(
        self, row: int, added: Iterable[int], removed: Iterable[int], snapshot: bool = False
    ) -> None:
        """Take in a worker's page events; a snapshot replaces everything it said before."""
        if snapshot:
            self.forget(row)
        reported = self._reported.setdefault(row, set())
        for name in added:
            reported.add(name)
            self._add(name, 1 << row)
        for name in removed:
            reported.discard(name)
            self._discard(name, row)

    def is_reported(self, name: int) -> bool:
        """Whether a worker said that it has this page: what is only promised does not count."""
        return any(name in reported for reported in self._reported.values())

    def promise(self, row: int, names: Sequence[int], now: float) -> None:
        """Count pages as being at a row for some seconds: what was just sent there will be."""
        self._lapse(now)
        for name in names:
            self._add(name, 1 << row)
        self._promises.append(Promise(now + PROMISE_S, row, names))

    def forget(self, row: int) -> None:
        """Forget everything of a worker, promises included: the row may soon be another's."""
        for name in self._reported.pop(row, ()):
            self._discard(name, row)
        for promise in self._promises:
            if promise.row == row:
                for name in promise.names:
                    self._discard(name, row)
        self._promises = deque(one for one in self._promises if one.row != row)

    def matched(self, names: Iterable[int], rows: int) -> Reals:
        """How many of these pages, from the first on, are at each row of the fleet."""
        counts = np.zeros(rows)
        here, length = (1 << rows) - 1, 0
        for name in names:
            still = self._holders.get(name, 0) & here
            if still != here:
                self._count(counts, here & ~still, length)
                here = still
                if not here:
                    return counts
            length += 1
        self._count(counts, here, length)
        return counts

    @staticmethod
    def _count(counts: Reals, rows: int, length: int) -> None:
        while length and rows:
            lowest = rows & -rows
            counts[lowest.bit_length() - 1] = length
            rows ^= lowest

    def _lapse(self, now: float) -> None:
        while self._promises and self._promises[0].until <= now:
            promise = self._promises.popleft()
            reported = self._reported.get(promise.row, set())
            for name in promise.names:
                if name not in reported:
                    self._discard(name, promise.row)

    def _add(self, name: int, bit: int) -> None:
        known = self._holders.get(name)
        if known is None and len(self._holders) >= self._most:
            self._drop(next(iter(self._holders)))  # the one that was learned first
        self._holders[name] = (known or 0) | bit

    def _discard(self, name: int, row: int) -> None:
        rest = self._holders.get(name, 0) & ~(1 << row)
        if rest:
            self._holders[name] = rest
        else:
            self._holders.pop(name, None)

    def _drop(self, name: int) -> None:
        holders = self._holders.pop(name)
        for row, reported in self._reported.items():
            if holders >> row & 1:
                reported.discard(name)
