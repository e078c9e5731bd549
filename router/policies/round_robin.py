"""Each worker in turn."""

import random

from raylax.router.fleet.table import Fleet
from raylax.router.policies.base import Choice, Routing, candidates


def round_robin(request: Routing, fleet: Fleet, rng: random.Random) -> Choice:
    rows = candidates(request, fleet)
    turn = request.ordinal % len(rows)
    return Choice(int(rows[turn]), f"turn {turn + 1} of {len(rows)}", rows)
