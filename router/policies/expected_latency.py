"""The worker where the first token is expected soonest, with a price for what it puts on others.

`cost = ttft + work + sharing + kv_term`, in seconds: what the request waits for and computes; the
time that it takes of the worker, and of those who decode there; what it adds to the step of those
whose prefill it joins; and a price of KV pages that grows without bound as they run out.

Who decodes gets the next token later by the whole prefill. How many they are counts against the
mean of all workers: the number alone would outgrow all else in a full cluster, where long prompts
would then pile up on few workers.

One router takes the minimum. Several know nothing of what the others send just now, so that those
near the minimum count as equal: of these the one with most of the prompt, which keeps prefixes
together, then the one with the fewest of this router's tokens in flight, then any. Otherwise all
would run to the same worker until its next report.
"""

import random

import numpy as np

from raylax.router.fleet.estimate import estimate
from raylax.router.fleet.table import Fleet, Reals
from raylax.router.policies import counts
from raylax.router.policies.base import RoutingChoice, RoutingRequest, candidates

WORK, SLOW, SHARE, KV = np.array(2.0), 0.12, np.array(0.5), np.array(0.01)
"""Weights of time taken of the worker and of those who decode, of sharing and of pages; chosen
on the traces of the README's table. As arrays, since numpy converts a float in every operation."""
NEAR, NEAR_S = 1.05, 0.005
"""Costs up to NEAR times the minimum and NEAR_S seconds count as equal to it."""
ONE, FULL, STEEP = np.array(1.0), np.array(0.95), np.array(400.0)
"""Beyond the share FULL of the pages in use, their price is a line as steep as STEEP."""


def expected_latency(request: RoutingRequest, fleet: Fleet, rng: random.Random) -> RoutingChoice:
    rows = candidates(request, fleet)
    uncached = np.maximum(request.tokens - request.matched[rows], ONE)
    there = estimate(fleet, rows)
    ttft = there.ttft(uncached)
    work = there.b * uncached * (WORK + crowding(fleet.decoding[rows]))
    joined = np.minimum(uncached, -there.todo % there.room)  # in the last step of those before it
    sharing = SHARE * there.b * joined
    used = fleet.kv[rows] + fleet.pending_kv[rows] + uncached
    kv_term = KV * pressure(used / fleet.kv_capacity[rows])
    cost = ttft + work + sharing + kv_term

    best = cost[cost.argmin()]
    near = (cost <= (best * NEAR + NEAR_S if fleet.routers > 1 else best)).nonzero()[0]
    at = int(near[counts.least((uncached[near], fleet.own_tokens[rows[near]]), rng)])
    reason = f"first token in {ttft.item(at):.3f} s, {uncached.item(at):.0f} tokens to compute"
    if len(near) > 1:
        reason += f"; of {len(near)} near equals most of it there, then least of ours"
    terms = {
        "cost": cost, "ttft": ttft, "wait": there.wait, "todo": there.todo, "uncached": uncached,
        "work": work, "sharing": sharing, "kv_term": kv_term,
    }  # fmt: skip
    return RoutingChoice(int(rows[at]), reason, rows, terms)


def crowding(decoding: Reals) -> Reals:
    """The weight of those who decode at each, whose mean counts as one at least."""
    workers = len(decoding)
    weight: Reals = decoding * (SLOW * workers / max(workers, np.add.reduce(decoding)))
    return weight


def pressure(used: Reals) -> Reals:
    """k/(1-k) of the share of pages in use, and beyond FULL a line that has no pole."""
    share = np.minimum(used, FULL)
    price: Reals = share / (ONE - share) + STEEP * (used - share)
    return price
