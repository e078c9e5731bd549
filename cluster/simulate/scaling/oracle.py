"""Who knows the arrivals: a plan of workers by half minutes, which others are compared with.

It begins with what the work of each half minute takes, adds workers where more than one in a
hundred would be late if workers started at once, and takes them away where nobody notices. Gaps
shorter than a start are closed. It is an upper bound of the best: a rule may cost less, with
somewhat more that is late.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from raylax.cluster.autoscaling.snapshot import Targets
from raylax.cluster.simulate.scaling.look import Look
from raylax.cluster.simulate.scaling.rows import FleetSettings
from raylax.cluster.simulate.scaling.rules import Rule
from raylax.cluster.simulate.scaling.run import run
from raylax.cluster.simulate.trace import Arrival

WINDOW_S = 30.0
ALLOWED = 0.01
"""Share of a half minute's requests that may be late, and FEW of them in any case."""
FEW = 2
ENOUGH = 10
"""Requests of a half minute that say anything."""
ROUNDS, SHAVES = 6, 2
"""Of repair, and of taking away."""
FIXED_SEED = 0
Plan = npt.NDArray[np.int64]
Late = npt.NDArray[np.bool_]


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


def demand(requests: Sequence[Arrival], settings: FleetSettings, targets: Targets) -> Plan:
    """Workers of each half minute by its work alone."""
    pace, count = settings.profile.step_time, int(requests[-1].at // WINDOW_S) + 1
    work = np.zeros(count)
    for one in requests:
        context = one.prompt + one.answer / 2
        work[int(one.at // WINDOW_S)] += pace.seconds(one.prompt, one.answer, one.answer * context)
    work = (work - pace.a * windows(np.array([one.at for one in requests]), count)) / WINDOW_S
    usable = 1 - pace.a / targets.itl_s if targets.itl_s else targets.usable(pace)
    return np.clip(np.ceil(work / max(0.1, usable) - 0.7), 1, settings.most).astype(np.int64)


def plan_for(
    requests: Sequence[Arrival],
    settings: FleetSettings,
    targets: Targets,
    said: Callable[[str], None],
) -> Plan:
    """The plan, for starts that take no time. `said`: hears which round it is."""
    at = np.array([one.at for one in requests])
    plan = demand(requests, settings, targets)
    total = windows(at, len(plan))

    def over(tried: Plan) -> Late:
        at_once = replace(settings, start_s=0.0, first=int(tried[0]), max_wait_s=math.inf)
        late = windows(run(requests, at_once, targets, planned(tried, 0.0)).late_at, len(plan))
        bad: Late = (late > ALLOWED * total) & (late >= FEW) & (total >= ENOUGH)
        return bad

    failed = np.zeros(len(plan), int)
    late = over(plan)
    for number in range(ROUNDS):
        before = plan.copy()
        failed[late] += 1
        for window in np.flatnonzero(late):
            plan[window] = min(settings.most, plan[window] + 1)
            if failed[window] > 2 and window:  # it comes from before
                plan[window - 1] = min(settings.most, plan[window - 1] + 1)
        if (plan == before).all():
            break
        said(f"oracle: repair {number + 1} of {ROUNDS}")
        late = over(plan)
    return shaved(plan, over, late, said)


def shaved(
    plan: Plan, over: Callable[[Plan], Late], allowed: Late, said: Callable[[str], None]
) -> Plan:
    """With fewer workers where nobody notices. `allowed`: what even all workers cannot keep."""
    rng = random.Random(FIXED_SEED)
    for number in range(SHAVES):
        tried, spans, window = plan.copy(), [], rng.randrange(4)
        while window < len(plan):
            long = rng.randrange(1, 12)
            if (plan[window : window + long] > 1).all():
                tried[window : window + long] -= 1
                spans.append((window, window + long))
            window += long + rng.randrange(2, 10)
        said(f"oracle: shave {number + 1} of {SHAVES}")
        guilty = over(tried) & ~allowed
        for begin, end in spans:
            if guilty[max(0, begin - 1) : end + 4].any():
                tried[begin:end] = plan[begin:end]
        if not (over(tried) & ~allowed).any():
            plan = tried
    return plan
