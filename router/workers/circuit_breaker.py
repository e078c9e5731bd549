"""A circuit breaker for each worker: who fails again and again is left alone for a while.

Plain state; clock and randomness are arguments.
"""

import random
from dataclasses import dataclass

MOST_FAILURES = 3
"""Failures in a row that open the circuit."""
SHORTEST_S, LONGEST_S = 0.5, 30.0
JITTER = 0.2
"""So that routers do not come back at the same moment."""


@dataclass(slots=True)
class CircuitBreaker:
    """Decides whether a worker is used: while the circuit is closed it is, while it is open, until
    `open_until`, it is not. Then one more failure opens it for twice as long."""

    failures: int = 0
    open_until: float = 0.0

    def closed(self, now: float) -> bool:
        """Whether the worker is used now."""
        return now >= self.open_until

    def failed(self, now: float, rng: random.Random) -> None:
        """Count a failure. After several in a row the circuit opens."""
        self.failures += 1
        if self.failures >= MOST_FAILURES:
            over = self.failures - MOST_FAILURES
            pause = min(LONGEST_S, SHORTEST_S * 2.0 ** min(over, 16))
            self.open_until = now + pause * rng.uniform(1 - JITTER, 1 + JITTER)

    def succeeded(self) -> None:
        """Close the circuit: the worker has ended a request as it should."""
        self.failures, self.open_until = 0, 0.0
