"""Differences of counters of many, of whom some come and go."""

from collections.abc import Mapping


class Counters:
    """A sum that only grows: who leaves takes nothing of it away."""

    def __init__(self) -> None:
        self._last: dict[str, Mapping[str, float]] = {}

    def since(self, said: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
        """By name: how much all have counted since the last look. `said`: by who it is. Who is new
        counts from now on: it may have been there before this began to look."""
        sums: dict[str, float] = {}
        for who, counts in said.items():
            before = self._last.get(who, counts)
            for name, value in counts.items():
                sums[name] = sums.get(name, 0.0) + max(0.0, value - before.get(name, 0.0))
        self._last.update({who: dict(counts) for who, counts in said.items()})
        for who in self._last.keys() - said.keys():
            del self._last[who]
        return sums
