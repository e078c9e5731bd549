"""The numbers of one thing over a day, in as many bytes on the first second as on the last one.

Each second comes to one value of each column. A level keeps the means of its slots, which are some
seconds long, for as many slots as it has; then the oldest is written over. A slot knows which time
it is of, so that nothing has to be cleared while nobody speaks, or when the clock jumps.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]
"""One for each column; NaN: it is not known."""


class Level(NamedTuple):
    """A resolution, and for how long it is kept."""

    step_s: int
    slots: int

    @property
    def span_s(self) -> int:
        """How far it reaches back."""
        return self.step_s * self.slots


LEVELS = (Level(1, 300), Level(10, 360), Level(60, 1440))
"""Seconds for five minutes, tens of them for an hour, minutes for a day; finest first."""
MOST_STEP_S = 255
"""Of a level: a byte counts the seconds of a slot."""


class Slots(NamedTuple):
    """Some slots of a level, in order of time."""

    first: int
    """The second, since the epoch, at which the first one begins."""
    step_s: int
    values: Values
    """(slots, columns); NaN where nothing is known."""
    counts: NDArray[np.uint8]
    """(slots,): of how many seconds each one knows."""


class LevelSlots:
    """The slots of one level."""

    def __init__(self, level: Level, columns: int) -> None:
        self.level = level
        self._means = np.zeros((level.slots, columns), np.float32)
        self._counts = np.zeros(level.slots, np.uint8)
        self._numbers = np.full(level.slots, -1, np.int32)  # which slot, since the epoch, it is

    @property
    def nbytes(self) -> int:
        return self._means.nbytes + self._counts.nbytes + self._numbers.nbytes

    def add(self, second: int, values: Values) -> None:
        """What a second came to, after all that were added before."""
        number = second // self.level.step_s
        at = number % self.level.slots
        if self._numbers[at] != number or self._counts[at] >= self.level.step_s:
            self.put(number, values, 1)  # it is the slot's first, or the clock was set back
            return
        self._counts[at] += 1
        mean = self._means[at]
        mean += (values - mean) / self._counts[at]

    def put(self, number: int, values: Values, count: int) -> None:
        """A whole slot: means of so many of its seconds."""
        at = number % self.level.slots
        self._numbers[at], self._counts[at], self._means[at] = number, count, values

    def between(self, first: int, last: int) -> Slots:
        """The slots from that of one second to that of another one."""
        step_s, slots = self.level
        numbers = np.arange(first // step_s, last // step_s + 1)
        at = numbers % slots
        known = self._numbers[at] == numbers
        values = np.where(known[:, None], self._means[at], np.float32(np.nan))
        counts = np.where(known, self._counts[at], 0).astype(np.uint8)
        return Slots(int(numbers[0]) * step_s, step_s, values, counts)


class Ring:
    """All levels of one thing. Those of fine resolution can be given back before the others."""

    def __init__(self, columns: int, levels: Sequence[Level] = LEVELS) -> None:
        """ValueError for a level with longer slots than can be counted."""
        if too_long := [one.step_s for one in levels if one.step_s > MOST_STEP_S]:
            raise ValueError(f"slots have at most {MOST_STEP_S} s, not {too_long[0]}")
        self._levels = [LevelSlots(level, columns) for level in levels]

    @property
    def nbytes(self) -> int:
        """What it takes."""
        return sum(one.nbytes for one in self._levels)

    @property
    def levels(self) -> list[Level]:
        """Those that are left, finest first."""
        return [one.level for one in self._levels]

    def add(self, second: int, values: Values) -> None:
        """What a second came to, after all that were added before."""
        for one in self._levels:
            one.add(second, values)

    def give_up_finest(self) -> None:
        """Keep less, for what others need."""
        self._levels.pop(0)

    def between(self, first: int, last: int, level: Level) -> Slots:
        """What a level knows of the time between two seconds, in its slots; nothing, of one that
        was given up."""
        for one in self._levels:
            if one.level == level:
                return one.between(first, last)
        raise LookupError(f"no level of {level.step_s} s")

    def last_of_coarsest(self, second: int) -> tuple[Values, int]:
        """The slot of the longest level in which a second lies: values, of how many seconds."""
        slots = self._levels[-1].between(second, second)
        return slots.values[0], int(slots.counts[0])

    def restore(self, second: int, values: Values, count: int) -> None:
        """What `last_of_coarsest` has said, before anything newer is added."""
        coarsest = self._levels[-1]
        coarsest.put(second // coarsest.level.step_s, values, count)
