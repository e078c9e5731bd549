"""Of two workers drawn at random the one with fewer requests.

Two draws are enough to avoid the longest queues, and routers that know little of each other do not
all run to the same worker.
"""

import random

from raylax.router.fleet.table import Fleet
from raylax.router.policies import counts
from raylax.router.policies.base import RoutingChoice, RoutingRequest, candidates


def power_of_two(request: RoutingRequest, fleet: Fleet, rng: random.Random) -> RoutingChoice:
    rows = candidates(request, fleet)
    requests = counts.requests(fleet, rows)
    drawn = rng.sample(range(len(rows)), k=min(2, len(rows)))
    at = min(drawn, key=requests.__getitem__)
    names = " and ".join(fleet.ids[rows[one]] for one in drawn)
    reason = f"{requests[at]:.0f} requests there, the fewest of {names}"
    return RoutingChoice(int(rows[at]), reason, rows, {"cost": requests})
