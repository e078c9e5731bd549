"""How an engine stands: its thread notes it after each step, and anybody may look."""

import math
from collections.abc import Callable
from typing import NamedTuple

from raylax.proto.vocabulary import Fault, Load
from raylax.worker.engine.census import NOBODY, Census, census_of
from raylax.worker.scheduling.roster import Roster

MOST_FAILURES = 3
"""Failed steps in a row after which the engine counts as broken."""
STALLED_S = 60.0
"""A step that takes longer counts as no progress."""

CENSUS_EVERY_S = 1.0
"""As often as anybody asks for it."""


class StatusSnapshot(NamedTuple):
    """How an engine stood between two steps, and how long ago that was."""

    load: Load
    age_s: float


class EngineStatus:
    """How an engine stands. Written by the engine thread alone, read by any."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.broken: str | None = None
        """Why the engine thread has ended before its time."""
        self.blame = Fault.ENGINE
        """Whose fault that is."""
        self.busy_since: float | None = None
        """When the step began that is running."""
        self.failures = 0
        """Failed steps in a row."""
        self._clock = clock
        self._noted = Load(), 0.0  # with the time when it was so
        self._census, self._counted_at = NOBODY, -math.inf

    def note(self, load: Load) -> None:
        """The load as it is now."""
        self._noted = load, self._clock()

    def look_around(self, roster: Roster) -> None:
        """Count who is there, if that was not done for a second."""
        if (now := self._clock()) - self._counted_at >= CENSUS_EVERY_S:
            self._census, self._counted_at = census_of(roster), now

    @property
    def load(self) -> Load:
        """As it was noted last."""
        return self._noted[0]

    @property
    def census(self) -> Census:
        """Who is there, as it was counted last, while anybody is."""
        load = self.load
        return self._census if load.running or load.waiting else NOBODY

    @property
    def snapshot(self) -> StatusSnapshot:
        """The load, and for how long nothing else has been noted."""
        load, at = self._noted
        return StatusSnapshot(load, self._clock() - at)

    @property
    def fault(self) -> str | None:
        """Why the engine can no longer serve; None while it can."""
        if self.broken is not None:
            return self.broken
        if self.failures >= MOST_FAILURES:
            return f"{self.failures} steps in a row failed"
        begun = self.busy_since
        if begun is not None and self._clock() - begun > STALLED_S:
            return f"a step has been running for {self._clock() - begun:.0f} s"
        return None
