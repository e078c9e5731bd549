"""What is kept of everything of a kind, in columns: their names, and how they are added up."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Kind(StrEnum):
    """How a number behaves."""

    GAUGE = "gauge"
    """It is so at a moment. What several have is the sum."""
    MEAN = "mean"
    """So is this, but a sum means nothing: several have a mean."""
    COUNTER = "counter"
    """It only grows. What is kept is how much it grew in a second."""


class Column(NamedTuple):
    """A number that everything of a kind has."""

    name: str
    kind: Kind
    text: str
    """What it is, and in which unit."""


class Columns:
    """Those of a kind, by their places."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.all = tuple(columns)
        self.names = [one.name for one in columns]
        kinds = np.array([one.kind for one in columns])
        self.counters, self.means = kinds == Kind.COUNTER, kinds == Kind.MEAN

    def __len__(self) -> int:
        return len(self.all)

    def together(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """What several have together, of (several, columns); NaN where no one knows it."""
        known = (~np.isnan(values)).sum(axis=0)
        sums = np.where(known > 0, np.nansum(values, axis=0), np.nan)
        return np.where(self.means, sums / np.maximum(known, 1), sums)
