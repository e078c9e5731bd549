"""Hedged prefills: a second worker for a request whose first token is later than it should be.

The first token that comes wins and the other worker stops (Dean and Barroso, "The Tail at Scale",
CACM 2013). A budget keeps a slow hour from doubling itself. Plain state, clock as an argument.
"""

from dataclasses import dataclass

from raylax.router.fleet.table import Fleet

QUANTILE = 0.95
LEAST_S = 0.05
"""A hedge before this costs more than it saves."""
STEP = 0.02
"""How fast the estimate follows what is seen."""


@dataclass(slots=True)
class HedgePolicy:
    """Says when a request is hedged; never while `share` is 0."""

    share: float = 0.0
    """Share of the requests that may be hedged."""
    most_load: float = 0.7
    """Share of the fleet in use above which there is no room for a second try."""
    requests: int = 0
    hedged: int = 0
    _ratio: float = 2.0  # p95 of real over predicted seconds to the first token

    def began(self) -> None:
        """Count a request that begins: the budget is a share of them."""
        self.requests += 1

    def answered(self, predicted_s: float, real_s: float) -> None:
        """Moves the estimate by quantile regression: up by q, or down by 1 - q, of a step."""
        if predicted_s > 0:
            above = real_s / max(predicted_s, LEAST_S) > self._ratio
            self._ratio *= 1 + STEP * (QUANTILE if above else QUANTILE - 1)

    def delay_s(self, predicted_s: float) -> float | None:
        """Seconds to wait for a first token before a hedge; None: there is no hedge."""
        if self.share == 0:
            return None
        return max(LEAST_S, predicted_s) * self._ratio

    def allowed(self, fleet: Fleet) -> bool:
        """Whether one more request may be hedged now. One that may is counted."""
        rows = fleet.rows()
        if self.hedged + 1 > self.share * self.requests or len(rows) < 2:
            return False
        busy = (fleet.kv[rows] + fleet.pending_kv[rows]).sum() / fleet.kv_capacity[rows].sum()
        queued = (fleet.waiting[rows] > 0).mean()
        if max(busy, queued) > self.most_load:
            return False
        self.hedged += 1
        return True
