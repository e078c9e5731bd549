"""What the policies of one application share: they run in one process, one after another.

The Router deployment's policy leaves what routers say; each model's policy leaves its claim on the
pool, and takes its part of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from raylax.cluster.autoscaling.pool import Claim, Pool
from raylax.cluster.autoscaling.rule import EVERY_S

STALE_S = 5 * EVERY_S
"""A model that has claimed nothing for so long is gone."""


@dataclass
class Desk:
    """Of one application."""

    routers: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """What each router has recorded last."""
    _claims: dict[str, tuple[float, Claim]] = field(default_factory=dict)
    _granted: dict[str, int] = field(default_factory=dict)
    _pool: Pool | None = None

    def grant(self, now: float, claim: Claim, start_s: float, total: float | None) -> int:
        """Workers that a model gets of a pool of `total`; None: there is enough for all."""
        if total is None:
            return claim.wish
        self._claims[claim.model] = now, claim
        fresh = [one for at, one in self._claims.values() if now - at <= STALE_S]
        if self._pool is None:
            self._pool = Pool(total)
        self._pool.total = total
        self._granted = self._pool.grant(now, fresh, start_s)
        return self._granted[claim.model]

    def had(self, model: str, otherwise: int) -> int:
        """Workers that it was granted last."""
        return self._granted.get(model, otherwise)


DESKS: dict[str, Desk] = {}
"""By application. Written by the policies of Serve's controller alone, on its event loop."""


def desk_of(application: str) -> Desk:
    """The one that all policies of an application see."""
    return DESKS.setdefault(application, Desk())
