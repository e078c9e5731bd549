"""Many runs: every policy at every load with every number of routers, side by side.

100 % is what the same workers complete when they always have enough to do. Runs are independent, so
that they share the machine's cores.
"""

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

from raylax.cluster.errors import UserError
from raylax.cluster.simulate.profile import Profile
from raylax.cluster.simulate.replay import Outcome, RunSettings, replay, throughput
from raylax.cluster.simulate.trace import Arrival, Shape, arrivals, own_rate, read_trace


@dataclass(frozen=True, slots=True)
class Study:
    """What is asked for. `loads` in percent."""

    trace: Path
    policies: tuple[str, ...]
    loads: tuple[float, ...]
    routers: tuple[int, ...]
    replicas: int
    requests: int
    """At most, per worker."""
    shape: Shape
    delay_s: float
    profile: Profile
    seed: int


@dataclass(frozen=True, slots=True)
class Run:
    """One cell of the table."""

    load: float
    routers: int
    policy: str


@cache
def fitting(trace: Path, profile: Profile) -> tuple[Arrival, ...]:
    """Those of a trace that fit into a worker's pages. Raises UserError if none does."""
    rows = [row for row in read_trace(trace) if row.prompt + row.answer <= profile.kv]
    if len(rows) < 2:
        raise UserError(f"{trace}: no two requests fit into {profile.kv} tokens of KV pages")
    return tuple(rows)


def capacity(study: Study) -> float:
    """Requests per second that are 100 % load."""
    trace, most = fitting(study.trace, study.profile), study.requests * study.replicas
    copies = max(1, round(most / len(trace))) if study.shape == "superposed" else 1
    requests = arrivals(trace, own_rate(trace) * copies, most, study.shape, study.seed)
    return throughput(requests, study.replicas, study.profile)


def run(study: Study, rate: float, one: Run) -> Outcome:
    """The outcome of one cell; `rate`, in requests a second, is that of 100 % load."""
    trace = fitting(study.trace, study.profile)
    most = study.requests * study.replicas
    requests = arrivals(trace, rate * one.load / 100, most, study.shape, study.seed)
    settings = RunSettings(
        one.policy, one.routers, study.replicas, study.delay_s, study.profile, study.seed
    )
    return replay(requests, settings)


def run_all(study: Study, tell: Callable[[int, int], None]) -> dict[Run, Outcome]:
    """Every cell's outcome, in the order asked for; `tell` hears how many are done, of how many."""
    runs = [
        Run(load, routers, policy)
        for load in study.loads
        for routers in study.routers
        for policy in study.policies
    ]
    tell(0, len(runs))
    rate, outcomes = capacity(study), dict[Run, Outcome]()
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        futures = {pool.submit(run, study, rate, one): one for one in runs}
        for done, future in enumerate(as_completed(futures), 1):
            outcomes[futures[future]] = future.result()
            tell(done, len(runs))
    return {one: outcomes[one] for one in runs}
