"""What is to be expected of a model's workers: the autoscaler writes it into Ray's store, routers
and Metrics read it there."""

import json
from dataclasses import asdict, dataclass

NAMESPACE = "raylax"
PREFIX = "outlook/"


@dataclass(frozen=True, slots=True)
class Outlook:
    """Of one model."""

    least: int
    """Workers that are there in any case; 0: none while nobody asks."""
    starting: int
    """Workers that are ordered and not ready."""
    ordered_at_s: float | None
    """When the first of them was ordered, in seconds of the calendar."""
    start_s: float
    """How long a start takes."""

    def next_ready_s(self, now_s: float) -> float | None:
        """Seconds of the calendar from now until the next worker is expected; 0: it is late; None:
        none is ordered."""
        if self.ordered_at_s is None:
            return None
        return max(0.0, self.ordered_at_s + self.start_s - now_s)


def key_of(model: str) -> str:
    """Where it stands, by the model's served name."""
    return PREFIX + model


def encode(outlook: Outlook) -> bytes:
    """As it stands there."""
    return json.dumps(asdict(outlook)).encode()


def decode(value: bytes | None) -> Outlook | None:
    """Of what stands there, if anything does."""
    return Outlook(**json.loads(value)) if value else None
