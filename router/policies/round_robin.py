"""Each worker in turn."""

import random

from raylax.router.fleet.table import Fleet
from raylax.router.policies.base import RoutingChoice, RoutingRequest, candidates


def round_robin(request: RoutingRequest, fleet: Fleet, rng: random.Random) -> RoutingChoice:
    rows = candidates(request, fleet)
    turn = request.ordinal % len(rows)
    return RoutingChoice(int(rows[turn]), f"turn {turn + 1} of {len(rows)}", rows)
