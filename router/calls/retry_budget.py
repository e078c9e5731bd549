"""How many requests may move to another worker at once, so that a loss does not become a rush."""

from dataclasses import dataclass

MOVES_AT_ONCE, MOVES_PER_S = 1024, 64.0


@dataclass(slots=True)
class RetryBudget:
    """A bucket of moves that fills with time. A request that finds it empty waits; none fails by
    it. Plain state, clock as an argument."""

    left: float = MOVES_AT_ONCE
    filled_at: float = 0.0

    def take(self, now: float) -> bool:
        """Whether there is a move left. One that is there is taken."""
        self.left = min(MOVES_AT_ONCE, self.left + (now - self.filled_at) * MOVES_PER_S)
        self.filled_at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True
