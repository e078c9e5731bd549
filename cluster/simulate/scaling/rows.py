"""What a fleet is like, the places for its workers, and what is counted of it."""

from dataclasses import dataclass
from enum import Enum, auto

from raylax.cluster.simulate.profile import Profile


class State(Enum):
    """Of a row of the fleet."""

    OFF = auto()
    STARTING = auto()
    READY = auto()
    DRAINING = auto()


class Event(Enum):
    """What happens beside arrivals."""

    STEP = auto()
    READY = auto()
    MOVED = auto()


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """What a fleet is like. `start_s`: from the order of a worker until it is ready; `first`:
    workers that are there at the start."""

    profile: Profile
    start_s: float
    first: int
    most: int
    max_wait_s: float = 60.0
    """Who would wait longer is refused."""
    delay_s: float = 0.02
    """Of reports."""


@dataclass(slots=True)
class Row:
    """A place for a worker."""

    state: State = State.OFF
    life: int = 0
    """Which worker of this row: what happens to an earlier one is void."""
    ready_at: float = 0.0


@dataclass(slots=True)
class Sums:
    """Since the last look."""

    arrived: int = 0
    prompt: int = 0
    done: int = 0
    done_out: int = 0
    cached: int = 0
