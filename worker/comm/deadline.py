"""The end of a wait that has several steps."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from raylax.worker.comm.errors import CommTimeout


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a wait of so many seconds is over, on the monotonic clock."""

    timeout_s: float
    at: float

    @classmethod
    def after(cls, timeout_s: float) -> Self:
        """The end of a wait that begins now."""
        return cls(timeout_s, time.monotonic() + timeout_s)

    @property
    def left_s(self) -> float:
        """Seconds that are left; zero when it has passed."""
        return max(0.0, self.at - time.monotonic())

    def missed_by(self, ranks: Sequence[int], omission: str) -> CommTimeout:
        """The error that says what these ranks have not done in time."""
        return CommTimeout(ranks, omission, self.timeout_s)
