"""A number of workers for each half minute, and the rule that keeps to it."""

import math

import numpy as np
import numpy.typing as npt

from raylax.cluster.simulate.scaling.look import Look
from raylax.cluster.simulate.scaling.rules import Rule

WINDOW_S = 30.0
Plan = npt.NDArray[np.int64]


def planned(plan: Plan, start_s: float) -> Rule:
    """Orders workers so early that they are ready when the plan wants them."""

    def wanted(seen: Look) -> int:
        now, last = seen.snapshot.now, len(plan) - 1
        first = min(last, int((now + 1e-9) // WINDOW_S))
        ahead = min(last, int((now + start_s + seen.snapshot.dt) // WINDOW_S))
        return int(plan[first : ahead + 1].max())

    return wanted


def merged(plan: Plan, start_s: float) -> Plan:
    """The plan for starts that take so long: a gap costs its length, a start a start."""
    plan = plan.copy()
    for level in range(1, int(plan.max()) + 1):
        on = np.flatnonzero(plan >= level)
        for here, there in zip(on[:-1], on[1:], strict=True):
            if 1 < there - here <= math.floor(start_s / WINDOW_S) + 1:
                plan[here : there + 1] = np.maximum(plan[here : there + 1], level)
    return plan


def first_of(plan: Plan, start_s: float) -> int:
    """Workers that must be there at the start."""
    return int(plan[: int(start_s // WINDOW_S) + 2].max())


def windows(at: npt.NDArray[np.float64], count: int) -> Plan:
    """How many there are in each half minute."""
    slots = np.minimum((at // WINDOW_S).astype(int), count - 1)
    return np.bincount(slots, minlength=count)
