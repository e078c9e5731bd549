"""What everything of a kind has told, over a day, and what all have together. Plain state: it is
told what time it is, in seconds since the epoch.

Everyone has a row; every model has one, and so has the cluster, which always stay. Those of
everyone take no more bytes than they may. When there is no room for another one,

1. rows of those that are gone make it: at first each loses its finest level, the one that is gone
   longest before the others, then the next level, and only then any goes as a whole;
2. then rows of those that are there lose their finest levels in the same way, the oldest row first;
3. then the newest row is not kept: it counts in the sums alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raylax.cluster.metrics.history.columns import Columns
from raylax.cluster.metrics.history.ring import LEVELS, Level, Ring, Values

SILENT_S = 3
"""Everyone speaks once a second. Until now the last word counts, afterwards nothing."""
GONE_S = 10
"""Who has been silent for so long is gone."""
MOST_BEHIND_S = 5
"""So many seconds are made up for, when time has passed unnoticed; for more nothing is known."""
LOOK_EVERY_S = 60
CLUSTER = ""
"""The name of the row of all models."""
Numbers = NDArray[np.float64]


@dataclass
class Row:
    """One that speaks."""

    name: str
    model: str
    told: Numbers
    """What it said last: counters since its start."""
    heard_at: float
    joined_at: float
    ring: Ring | None
    grown: Numbers
    """By how much its counters have grown in the second that runs."""
    gone_at: float = math.inf

    @property
    def is_gone(self) -> bool:
        return self.gone_at < math.inf

    @property
    def levels(self) -> int:
        """How many it still has."""
        return 0 if self.ring is None else len(self.ring.levels)


@dataclass
class Series:
    """All rows of a kind."""

    columns: Columns
    most_bytes: int
    """Of the rows of everyone."""
    levels: Sequence[Level] = LEVELS
    rows: dict[str, Row] = field(init=False, default_factory=dict)
    """By name."""
    sums: dict[str, Ring] = field(init=False, default_factory=dict)
    """By model, and of the CLUSTER."""
    _closed: int | None = field(init=False, default=None)
    """The last second that is over."""

    @property
    def nbytes(self) -> int:
        """What all rings take."""
        return self._rows_bytes + sum(ring.nbytes for ring in self.sums.values())

    @property
    def _rows_bytes(self) -> int:
        return sum(row.ring.nbytes for row in self.rows.values() if row.ring is not None)

    @property
    def _are_some_gone(self) -> bool:
        return any(row.is_gone for row in self.rows.values())

    def heard(self, name: str, model: str, told: Numbers, now: float) -> None:
        """What one says now: a number for each column, of counters since its start. One that has
        begun anew has grown by all that it says; who was silent has not grown meanwhile."""
        row = self.rows.get(name)
        if row is None:
            row = self._join(name, model, told, now)
        elif now - row.heard_at <= SILENT_S:
            grown = np.where(told < row.told, told, told - row.told)
            np.add(row.grown, grown, out=row.grown, where=self.columns.counters & (grown == grown))
        row.told, row.heard_at, row.gone_at, row.model = told, now, math.inf, model

    def left(self, name: str, now: float) -> None:
        """One has said that it goes."""
        if (row := self.rows.get(name)) is not None and not row.is_gone:
            row.gone_at = now

    def tick(self, now: float) -> None:
        """Close the seconds that are over."""
        over = math.floor(now) - 1
        closed = over if self._closed is None else self._closed
        if closed - over > MOST_BEHIND_S:
            closed = over - 1  # the clock was set back
        for second in range(max(closed, over - MOST_BEHIND_S) + 1, over + 1):
            self._close(second)
        self._closed = max(closed, over)

    def restore(self, name: str, model: str, second: int, values: Values, count: int) -> None:
        """What a row had in the minute of this second, of so many seconds. A row that nobody has
        spoken for since is gone."""
        row = self.rows.get(name)
        if row is None:
            unknown = np.full(len(self.columns), np.nan)
            row = self._join(name, model, unknown, second)
            row.heard_at = -math.inf  # whatever it says first, it has not grown by that
        row.gone_at = second
        if row.ring is not None:
            row.ring.restore(second, values, count)

    def restore_sum(self, model: str, second: int, values: Values, count: int) -> None:
        """The same of a model, or of the CLUSTER."""
        self._sum(model).restore(second, values, count)

    # Seconds

    def _close(self, second: int) -> None:
        spoken: dict[str, list[Numbers]] = {}
        for row in self.rows.values():
            if not row.is_gone and second - row.heard_at > GONE_S:
                row.gone_at = row.heard_at
            if row.is_gone or second - row.heard_at > SILENT_S:
                continue
            values = np.where(self.columns.counters, row.grown, row.told)
            row.grown = np.zeros(len(self.columns))
            spoken.setdefault(row.model, []).append(values)
            if row.ring is not None:
                row.ring.add(second, values.astype(np.float32))
        for model, of_rows in spoken.items():
            self._add_sum(model, second, of_rows)
        if second % LOOK_EVERY_S == 0:
            self._look_through(second)
        if spoken:
            self._add_sum(CLUSTER, second, [one for of_rows in spoken.values() for one in of_rows])

    def _add_sum(self, model: str, second: int, of_rows: list[Numbers]) -> None:
        together = self.columns.together(np.array(of_rows))
        self._sum(model).add(second, together.astype(np.float32))

    def _sum(self, model: str) -> Ring:
        if model not in self.sums:
            self.sums[model] = Ring(len(self.columns), self.levels)
        return self.sums[model]

    # Rows

    def _join(self, name: str, model: str, told: Numbers, now: float) -> Row:
        ring = Ring(len(self.columns), self.levels)
        row = Row(name, model, told, now, now, ring, np.zeros(len(self.columns)))
        self.rows[name] = row
        self._make_room()
        return row

    def _make_room(self) -> None:
        """Keep less, until the bound holds."""
        spare = self.most_bytes - self._rows_bytes
        while spare < 0 and (row := self._least_needed()) is not None:
            assert row.ring is not None, "it takes no bytes"
            before = row.ring.nbytes
            if row.levels > 1:
                row.ring.give_up_finest()
                spare += before - row.ring.nbytes
            else:
                row.ring = None
                spare += before
            if row.ring is None and row.is_gone:
                del self.rows[row.name]

    def _least_needed(self) -> Row | None:
        """The row that loses something next."""
        kept = [row for row in self.rows.values() if row.ring is not None]
        if gone := [row for row in kept if row.is_gone]:
            return min(gone, key=lambda row: (-row.levels, row.gone_at))
        if finer := [row for row in kept if row.levels > 1]:
            return min(finer, key=lambda row: (-row.levels, row.joined_at))
        return max(kept, key=lambda row: row.joined_at, default=None)

    def _look_through(self, now: float) -> None:
        """Forget rows of which nothing is left, and give rings to those that had no room."""
        span_s = self.levels[-1].span_s
        for row in [*self.rows.values()]:
            if row.is_gone and (row.ring is None or now - row.gone_at > span_s):
                del self.rows[row.name]
        least = Ring(len(self.columns), self.levels[-1:]).nbytes
        for row in [row for row in self.rows.values() if row.ring is None]:
            if self._rows_bytes + least <= self.most_bytes or self._are_some_gone:
                row.ring = Ring(len(self.columns), self.levels)
                self._make_room()


def numbers(values: dict[str, Any], columns: Columns) -> Numbers:
    """Values by name as a row's numbers; NaN for those that are not there."""
    return np.array([values.get(name, math.nan) for name in columns.names], np.float64)
