"""How many requests may move to another worker at once, so that a loss does not become a rush."""

from collections import deque
from dataclasses import InitVar, dataclass, field

from raylax.proto.shares import ShareOf, Shares, equal

MOVES_AT_ONCE, MOVES_PER_S = 1024, 64.0


@dataclass(slots=True)
class RetryBudget:
    """Moves that come back with time, of which each tenant has a part. A request that finds none
    waits; none fails by it. Plain state, clock as an argument."""

    share_of: InitVar[ShareOf] = equal
    filled_at: float = 0.0
    _moves: Shares = field(init=False)
    _taken: deque[str] = field(default_factory=deque)
    """Whose moves are on their way back, in the order in which they were taken."""

    def __post_init__(self, share_of: ShareOf) -> None:
        self._moves = Shares(MOVES_AT_ONCE, share_of)

    def take(self, tenant: str, now: float) -> bool:
        """Whether there is a move left for a tenant. One that is there is taken."""
        back = int((now - self.filled_at) * MOVES_PER_S)
        self.filled_at += back / MOVES_PER_S
        for _ in range(min(back, len(self._taken))):
            self._moves.give_back(self._taken.popleft(), 1)
        if not self._moves.take(tenant, 1):
            return False
        self._taken.append(tenant)
        return True
