"""Several models on one pool of GPUs: each worker goes to where it saves most work that comes late.

While all wishes fit, each model has its own. Else who has keeps what it still wants, and what is
free goes by marginal benefit; once in two starts the pool is shared anew, for what is torn down
before it is ready serves nobody. Each model that anybody asks keeps its least, and a worker at all.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

STICK = 1.5
"""What a model has already counts for more, against swings."""
SHARE_STARTS = 2.0
ROUNDED = 1e-9
"""Shares of GPUs add up to whole ones but for this."""


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
    least: int = 0
    """Workers that others' gain does not take from it: without any, its requests would be lost."""

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
    for claim in sorted(claims, key=lambda one: (-one.weight, -one.has)):
        more = min(claim.least - have[claim.model], math.floor(free / claim.cost + ROUNDED))
        if more > 0:
            have[claim.model] += more
            free -= more * claim.cost
    while (step := best_step(free, claims, have)) is not None:
        claim, workers = step
        free -= (workers - have[claim.model]) * claim.cost
        have[claim.model] = workers
    while (needy := neediest(free, claims, have)) is not None:
        have[needy.model] += 1
        free -= needy.cost
    return have


def neediest(free: float, claims: Sequence[Claim], have: Mapping[str, int]) -> Claim | None:
    """Where another worker saves nothing any more: who has least of its wish, and can have one."""
    able = (c for c in claims if have[c.model] < c.wish and c.cost <= free + ROUNDED)
    return min(able, key=lambda one: have[one.model] / one.wish, default=None)


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
            if cost > free + ROUNDED:
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
        kept = {one.model: max(one.least, min(one.has, one.wish)) for one in claims}
        too_much = sum(kept[claim.model] * claim.cost for claim in claims) > self.total + ROUNDED
        # Somebody has none who needs one, or the pool has become smaller: that cannot wait.
        if too_much or now - self._shared_at >= SHARE_STARTS * start_s:
            self._shared_at = now
            return share(self.total, claims)
        return share(self.total, claims, kept)
