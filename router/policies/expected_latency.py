"""The worker where the first token is expected soonest, with a price for what it puts on others.

`cost = ttft + work + sharing + kv_term`, in seconds: what the request waits for and computes; the
time that it takes of the worker; what it adds to the step of those whose prefill it joins; and a
price of KV pages that grows without bound as they run out.

One router takes the minimum. Several know nothing of what the others send just now, so that those
near the minimum count as equal: of these the one with the fewest of this router's tokens in flight,
then any. Otherwise all would run to the same worker until its next report.
"""

import random

import numpy as np

from raylax.router.estimate import estimate
from raylax.router.fleet import Fleet, Reals
from raylax.router.policies import counts
from raylax.router.policy import Choice, Routing, candidates

WORK, SHARE, KV = np.array(2.0), np.array(0.5), np.array(0.01)
"""Weights of the three prices; as arrays, since numpy converts a float anew in every operation."""
NEAR, NEAR_S = 1.05, 0.005
"""So many times the minimum, and so many seconds, are equal to it."""
ONE, FULL, STEEP = np.array(1.0), np.array(0.95), np.array(400.0)
"""From this share of the pages on their price is a steep line, not a hyperbola."""


def expected_latency(request: Routing, fleet: Fleet, rng: random.Random) -> Choice:
    rows = candidates(request, fleet)
    uncached = np.maximum(request.tokens - request.matched[rows], ONE)
    there = estimate(fleet, rows)
    ttft, work = there.ttft(uncached), WORK * there.b * uncached
    joined = np.minimum(uncached, -there.todo % there.room)  # in the last step of those before it
    sharing = SHARE * there.b * joined
    used = fleet.kv[rows] + fleet.pending_kv[rows] + uncached
    kv_term = KV * pressure(used / fleet.kv_capacity[rows])
    cost = ttft + work + sharing + kv_term

    best = cost[cost.argmin()]
    near = (cost <= (best * NEAR + NEAR_S if fleet.routers > 1 else best)).nonzero()[0]
    at = int(near[counts.least((fleet.own_tokens[rows[near]],), rng)])
    reason = f"first token in {ttft.item(at):.3f} s, {uncached.item(at):.0f} tokens to compute"
    if len(near) > 1:
        reason += f"; the least busy with this router's among {len(near)} near equals"
    terms = {
        "cost": cost, "ttft": ttft, "wait": there.wait, "todo": there.todo, "uncached": uncached,
        "work": work, "sharing": sharing, "kv_term": kv_term,
    }  # fmt: skip
    return Choice(int(rows[at]), reason, rows, terms)


def pressure(used: Reals) -> Reals:
    """k/(1-k) of the share of pages in use, and beyond FULL a line that has no pole."""
    share = np.minimum(used, FULL)
    price: Reals = share / (ONE - share) + STEEP * (used - share)
    return price
