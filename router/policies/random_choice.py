"""Any worker, with equal chances."""

import random

from raylax.router.fleet.table import Fleet
from raylax.router.policies.base import Choice, Routing, candidates


def random_choice(request: Routing, fleet: Fleet, rng: random.Random) -> Choice:
    rows = candidates(request, fleet)
    return Choice(int(rng.choice(rows)), f"drawn from {len(rows)}", rows)
