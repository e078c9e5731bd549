"""Several models on one pool of GPUs: each worker goes to where it saves most work that comes late.

While all wishes fit, each model has its own. Else who has keeps what it still wants, and what is
free goes by marginal benefit; once in two starts the pool is shared anew, for what is torn down
before it is ready serves nobody.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

STICK = 1.5
"""What a model has already counts for more, against swings."""
SHARE_STARTS = 2.0


@dataclass(frozen=True, slots=True)
class Claim:
    """What a model asks of the pool."""

    model: str
    wish: int
    """Workers."""
    has: int
    """Workers that it was granted before."""
    work: float
    """Workers that what comes keeps busy all the time."""
    usable: float
    """Share of a worker's time that may be busy."""
    weight: float = 1.0
    """What its late work costs, compared with that of others."""
    cost: float = 1.0
    """GPUs of a worker."""

    def late(self, workers: int) -> float:
        """Work that comes too late, in workers: a queue that grows makes all of it late."""
        return self.work if self.work > workers * self.usable else 0.0


def share(
    total: float, claims: Sequence[Claim], got: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Workers of each model, none above its wish, whose costs are at most `total` together.
    `got`: what each keeps in any case; without it all of the pool is shared anew."""
    have = {claim.model: got[claim.model] if got else 0 for claim in claims}
    free = total - sum(claim.cost * have[claim.model] for claim in claims)
    while (step := best_step(free, claims, have)) is not None:
        claim, workers = step
        free -= (workers - have[claim.model]) * claim.cost
        have[claim.model] = workers
    for claim in sorted(claims, key=lambda one: have[one.model] / max(1, one.wish)):
        more = min(claim.wish - have[claim.model], math.floor(free / claim.cost + 1e-9))
        if more > 0:  # what saves nothing any more: who has least of its wish
            have[claim.model] += more
            free -= more * claim.cost
    return have


def best_step(
    free: float, claims: Sequence[Claim], have: Mapping[str, int]
) -> tuple[Claim, int] | None:
    """Who is to have how many, for most late work saved by a GPU; None if nobody saves any. Of all
    steps that fit, since one worker alone may save nothing."""
    best, step = 0.0, None
    for claim in claims:
        now = have[claim.model]
        for workers in range(now + 1, claim.wish + 1):
            cost = (workers - now) * claim.cost
            if cost > free + 1e-9:
                break
            gain = claim.weight * (claim.late(now) - claim.late(workers)) / cost
            if (gain := gain * (STICK if workers <= claim.has else 1.0)) > best:
                best, step = gain, (claim, workers)
    return step


class Pool:
    """Who has what of `total` GPUs."""

    def __init__(self, total: float) -> None:
        self.total = total
        self._shared_at = -math.inf

    def grant(self, now: float, claims: Sequence[Claim], start_s: float) -> dict[str, int]:
        """Workers of each model, at most its wish."""
        if sum(claim.wish * claim.cost for claim in claims) <= self.total:
            return {claim.model: claim.wish for claim in claims}
        if now - self._shared_at >= SHARE_STARTS * start_s:
            self._shared_at = now
            return share(self.total, claims)
        kept = {claim.model: min(claim.has, claim.wish) for claim in claims}
        if sum(kept[claim.model] * claim.cost for claim in claims) > self.total:
            return share(self.total, claims)  # the pool has become smaller
        return share(self.total, claims, kept)
