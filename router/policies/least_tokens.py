"""The worker with the fewest prompt tokens waiting, then with the fewest requests.

Tokens come first because a prefill is what a new request waits for.
"""

import random

from raylax.router.fleet.table import Fleet
from raylax.router.policies import counts
from raylax.router.policies.base import RoutingChoice, RoutingRequest, candidates


def least_tokens(request: RoutingRequest, fleet: Fleet, rng: random.Random) -> RoutingChoice:
    rows = candidates(request, fleet)
    tokens, requests = counts.tokens(fleet, rows), counts.requests(fleet, rows)
    at = counts.least((tokens, requests), rng)
    reason = f"{tokens[at]:.0f} tokens wait there, of {requests[at]:.0f} requests"
    return RoutingChoice(int(rows[at]), reason, rows, {"cost": tokens, "requests": requests})
