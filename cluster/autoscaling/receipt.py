"""What was decided and why: all that is needed to decide it again."""

from dataclasses import asdict, dataclass
from typing import Any

from raylax.cluster.autoscaling.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Receipt:
    """One decision of one model."""

    inputs: Snapshot
    usable: float
    """Share of a worker's time that may be busy."""
    work: float
    """Workers that what comes keeps busy all the time."""
    growth: float
    """By which it grows until a worker ordered now is ready."""
    need: int
    """Workers for that."""
    hold: int
    """The most that was needed within the last starts."""
    backlog_s: float
    """Until what waits for its prefill is computed."""
    drain: int
    """Workers more that end a backlog."""
    wish: int
    """What would be right now: the larger one of hold, and of need and drain together."""
    in_time: tuple[float, float, float]
    """Share of the requests that would be in time with one worker less, the choice, one more."""
    choice: int
    reason: str

    def asdict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)
