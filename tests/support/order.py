"""The order in which files of tests are run."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
EARLY = 0.7
"""The share of the others beside which the slow ones lie: they are to end first."""


def spread(slow: Sequence[Sequence[T]], others: Sequence[Sequence[T]]) -> Iterator[Sequence[T]]:
    """All files, in the order that they have among themselves; the slow ones at equal distances,
    counted in tests, the first at the very beginning."""
    waiting, every = iter(slow), EARLY * sum(map(len, others)) / max(len(slow), 1)
    begun, placed = 0, 0
    for file in others:
        while placed < len(slow) and placed * every <= begun:
            yield next(waiting)
            placed += 1
        yield file
        begun += len(file)
    yield from waiting
