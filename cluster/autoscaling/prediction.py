"""What share of the requests would be in time with another number of workers.

A forecast to explain a decision by; the decision is not made of it. Work that comes is taken as
normal around its mean, with arrivals as Poisson's; workers take the usable share of their time of
it, and the rest is late. What is left of a backlog is work, too, spread over a start.
"""

import math
from statistics import NormalDist

from raylax.cluster.autoscaling.drain import LEAST_START_S

QUANTILES = tuple(NormalDist().inv_cdf((i + 0.5) / 32) for i in range(32))
"""Of the normal distribution, each as probable as the others."""


def in_time(
    workers: int, work: float, noise: float, usable: float, left: float, start_s: float
) -> float:
    """The share, 0 to 1. `work`: in workers, with its growth; `noise`: its standard deviation;
    `left`: worker-seconds of a backlog."""
    room = workers * usable
    whole = work + left / max(LEAST_START_S, start_s)
    shares = (served(room, max(0.0, whole + noise * z)) for z in QUANTILES)
    return math.fsum(shares) / len(QUANTILES)


def served(room: float, work: float) -> float:
    """Share of this work that so much room takes."""
    return 1.0 if work <= room else room / work
