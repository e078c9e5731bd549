"""The worker that has most of the prompt in its pages, unless it has much more to do than others.

Otherwise, and where too little matches, as `least-tokens`: a request that matches nowhere must not
follow the others to one worker. Whether it is too busy is asked of that worker against the mean of
all, since the emptiest of a large fleet says nothing about it.
"""

import random

import numpy as np

from raylax.router.fleet.table import Fleet
from raylax.router.policies import counts
from raylax.router.policies.base import RoutingChoice, RoutingRequest, candidates
from raylax.router.policies.least_tokens import least_tokens

MATCH = 0.3
"""Share of the prompt from which on affinity is worth it."""
ABSOLUTE, RELATIVE = 16.0, 1.5
"""Too busy: by so many requests and so many times more than the mean."""


def prefix_affinity(request: RoutingRequest, fleet: Fleet, rng: random.Random) -> RoutingChoice:
    rows = candidates(request, fleet)
    matched, requests = request.matched[rows], counts.requests(fleet, rows)
    at = counts.least((-matched, requests), rng)
    share, mean = matched[at] / max(1, request.tokens), requests.mean()
    if share <= MATCH:
        return elsewhere(f"{share:.0%} of the prompt matches at most", request, fleet, rng)
    if requests[at] > mean + ABSOLUTE and requests[at] > mean * RELATIVE:
        worker = fleet.ids[rows[at]]
        busy = f"{worker} has {share:.0%} of the prompt, and {requests[at]:.0f} requests"
        return elsewhere(busy, request, fleet, rng)
    reason = f"{share:.0%} of the prompt lies there"
    uncached = np.maximum(0.0, request.tokens - matched)
    return RoutingChoice(int(rows[at]), reason, rows, {"cost": uncached, "requests": requests})


def elsewhere(why: str, request: RoutingRequest, fleet: Fleet, rng: random.Random) -> RoutingChoice:
    """The choice of `least-tokens`, with the reason why affinity does not decide."""
    other = least_tokens(request, fleet, rng)
    return RoutingChoice(other.row, f"{why}; {other.reason}", other.rows, other.terms)
