"""Who knows the arrivals: the plan with the fewest workers, which others are compared with.

From the first half minute to the last: the least number of workers with which at most one in a
hundred of those who come then is late, if workers started at once. Each number is tried on a copy
of the fleet as the ones before have left it, and some seconds on, since answers take as long. What
shows only later is repaired by runs of the whole plan. It is an upper bound of the best: a rule
may cost less, with somewhat more that is late.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from raylax.cluster.autoscaling.rule import EVERY_S
from raylax.cluster.autoscaling.snapshot import Targets
from raylax.cluster.simulate.scaling.fleet import ScalingFleet
from raylax.cluster.simulate.scaling.plan import WINDOW_S, Plan, planned, windows
from raylax.cluster.simulate.scaling.rows import FleetSettings
from raylax.cluster.simulate.scaling.run import is_late, run
from raylax.cluster.simulate.sequence import SimulatedSequence
from raylax.cluster.simulate.trace import Arrival

ALLOWED, FEW = 0.01, 2
"""Share of a half minute's requests that may be late, and below how many it is chance."""
ENOUGH = 10
"""Requests of a half minute that say anything."""
AHEAD_S = 14.0
"""How far a number is tried beyond its half minute."""
REPAIRS = 3


def plan_for(
    requests: Sequence[Arrival],
    settings: FleetSettings,
    targets: Targets,
    said: Callable[[str], None],
) -> Plan:
    """The plan, for starts that take no time. `said`: hears how far it is."""
    expected = demand(requests, settings, targets)
    total = windows(np.array([one.at for one in requests]), len(expected))
    at_once = replace(settings, start_s=0.0, first=int(expected[0]), max_wait_s=math.inf)
    search = Search(ScalingFleet(at_once, requests), targets, total, expected)
    for number in range(len(expected)):
        said(f"oracle: half minute {number + 1} of {len(expected)}")
        search.decide()
    return repaired(np.array(search.plan), requests, at_once, targets, said)


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


@dataclass
class Search:
    """One half minute after the other. `total`: requests of each; `expected`: workers."""

    fleet: ScalingFleet
    targets: Targets
    total: Plan
    expected: Plan
    plan: list[int] = field(default_factory=list)

    def decide(self) -> None:
        """The least number for the next half minute; the fleet goes on to its end."""
        workers, most = self._guess(0), self.fleet.settings.most
        end = self._tried(workers)
        if end is not None:
            while workers > 1 and (fewer := self._tried(workers - 1)) is not None:
                workers, end = workers - 1, fewer
        while end is None:
            workers = min(most, workers + 1)
            end = self._tried(workers, whatever=workers == most)
        self.plan.append(workers)
        self.fleet = end

    def _guess(self, ahead: int) -> int:
        """What is expected so many half minutes on, as far off as the last number was."""
        at, last = len(self.plan), len(self.expected) - 1
        off = self.plan[-1] - int(self.expected[at - 1]) if self.plan else 0
        expected = int(self.expected[min(last, at + ahead)])
        return max(1, min(self.fleet.settings.most, expected + off))

    def _tried(self, workers: int, whatever: bool = False) -> ScalingFleet | None:
        """The fleet at the end of the half minute; None if too many would be late, unless that is
        all the same."""
        fleet, begin = self.fleet.copy(), WINDOW_S * len(self.plan)
        tally = Tally(self.targets, begin, int(self.total[len(self.plan)]))
        until = begin + WINDOW_S
        while fleet.now < until:
            fleet.order(workers)
            fleet.advance(min(until, fleet.now + EVERY_S))
            if tally.is_too_many(fleet) and not whatever:
                return None
        end, later = fleet.copy(), max(workers, self._guess(1))
        while fleet.now < until + AHEAD_S and not whatever:
            fleet.order(later)
            fleet.advance(fleet.now + EVERY_S)
            if tally.is_too_many(fleet):
                return None
        return end


@dataclass
class Tally:
    """Who is late of those that come in a half minute."""

    targets: Targets
    begin: float
    total: int
    late: int = 0

    def is_too_many(self, fleet: ScalingFleet) -> bool:
        """Takes away those who have finished."""
        self.late += sum(self._counts(one) and is_late(one, self.targets) for one in fleet.finished)
        fleet.finished.clear()
        due = fleet.now - self.targets.ttft_s
        overdue = sum(self._counts(one) and one.arrived < due for one in fleet.unbegun())
        return too_many(self.late + overdue, self.total)

    def _counts(self, one: SimulatedSequence) -> bool:
        return self.begin <= one.arrived < self.begin + WINDOW_S


def too_many(late: int, total: int) -> bool:
    """Whether so many late ones of so many requests are beyond the target, and beyond chance."""
    return late > ALLOWED * total and late >= FEW and total >= ENOUGH


def repaired(
    plan: Plan,
    requests: Sequence[Arrival],
    at_once: FleetSettings,
    targets: Targets,
    said: Callable[[str], None],
) -> Plan:
    """With a worker more wherever a run of the plan still has too many that are late."""
    total = windows(np.array([one.at for one in requests]), len(plan))
    for number in range(REPAIRS):
        said(f"oracle: repair {number + 1} of {REPAIRS}")
        settings = replace(at_once, first=int(plan[0]))
        late = windows(run(requests, settings, targets, planned(plan, 0.0)).late_at, len(plan))
        bad = np.array([too_many(*pair) for pair in zip(late, total, strict=True)])
        if not bad.any():
            break
        plan = np.where(bad, np.minimum(plan + 1, at_once.most), plan)
    return plan
