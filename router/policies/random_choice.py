"""Any worker, with equal chances."""

import random

from raylax.router.fleet.table import Fleet
from raylax.router.policies.base import RoutingChoice, RoutingRequest, candidates


def random_choice(request: RoutingRequest, fleet: Fleet, rng: random.Random) -> RoutingChoice:
    rows = candidates(request, fleet)
    return RoutingChoice(int(rng.choice(rows)), f"drawn from {len(rows)}", rows)
