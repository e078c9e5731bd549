"""Many runs: every policy at every load with every number of routers, side by side.

100 % is what the same workers complete when they always have enough to do. Runs are independent, so
that they share the machine's cores.
"""

import os
import signal
import threading
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import active_children, get_context, parent_process
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


def runs_of(study: Study) -> list[Run]:
    """Every cell, in the order asked for."""
    return [
        Run(load, routers, policy)
        for load in study.loads
        for routers in study.routers
        for policy in study.policies
    ]


def run_all(study: Study, rate: float) -> Generator[tuple[Run, Outcome]]:
    """Every cell and its outcome, in the order asked for and as soon as it is known; `rate`, in
    requests a second, is that of 100 % load. Whoever leaves early closes it: no process is left."""
    runs = runs_of(study)
    cores = min(len(os.sched_getaffinity(0)), len(runs))
    pool = ProcessPoolExecutor(cores, get_context("spawn"), follow_parent)
    try:
        # Not pool.map: it cancels what is left, over which a pool that was killed stumbles.
        futures = [pool.submit(run, study, rate, one) for one in runs]
        for one, future in zip(runs, futures, strict=True):
            yield one, future.result()
    except BaseException:
        for child in active_children():
            child.kill()
        pool.shutdown(wait=False)
        raise
    pool.shutdown()


def follow_parent() -> None:
    """In a process of the pool: Ctrl-C is for the one at the terminal, and when that ends,
    however, so does this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None, "only a process of the pool has one"

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
