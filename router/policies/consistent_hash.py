"""A session stays with one worker, while that has no more than its share and a quarter.

Rendezvous hashing: a session orders all workers in its own way, so that one that comes or goes
moves only the sessions that it gets or had. A worker with enough to do is passed over for the next
in that order.
"""

import math
import random

import numpy as np

from raylax.proto.splitmix import mix_column
from raylax.router.fleet.table import Fleet, stable_hash
from raylax.router.policies import counts
from raylax.router.policies.base import RoutingChoice, RoutingRequest, candidates

BOUND = 1.25
"""How many times the mean a worker may have, with the new request counted."""


def consistent_hash(request: RoutingRequest, fleet: Fleet, rng: random.Random) -> RoutingChoice:
    rows = candidates(request, fleet)
    requests = counts.requests(fleet, rows)
    most = math.ceil(BOUND * (requests.sum() + 1) / len(rows))
    key = np.uint64(stable_hash(request.session or request.id))
    weights = mix_column(fleet.id_hashes[rows] ^ key)
    first = int(np.argmax(weights))
    below = np.flatnonzero(requests < most)  # never empty: not all are above the mean
    at = int(below[np.argmax(weights[below])])
    reason = "the session's worker" if request.session else "by the request's id"
    if at != first:
        reason += f"; {fleet.ids[rows[first]]} has {requests[first]:.0f} of {most} requests"
    terms = {"cost": -weights.astype(float), "requests": requests}
    return RoutingChoice(int(rows[at]), reason, rows, terms)
