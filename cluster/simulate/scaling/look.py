"""What a rule sees of a simulated fleet."""

from dataclasses import dataclass

from raylax.cluster.autoscaling.snapshot import Snapshot
from raylax.cluster.simulate.scaling.fleet import ScalingFleet
from raylax.cluster.simulate.scaling.rows import Sums

LEAST = 1
"""Workers, of every rule."""


@dataclass(frozen=True, slots=True)
class WorkerLook:
    """One worker that is ready."""

    kv_usage: float
    """Share of its KV pages in use, 0 to 1."""
    waiting: int
    running: int


@dataclass(frozen=True, slots=True)
class Look:
    """All workers and the router: what our rule sees, and what others ask for."""

    snapshot: Snapshot
    workers: tuple[WorkerLook, ...]

    @property
    def ongoing(self) -> float:
        """Requests at workers and at the router."""
        at_workers = sum(one.running + one.waiting for one in self.workers)
        return at_workers + self.snapshot.queued


def look(fleet: ScalingFleet, dt: float) -> Look:
    """The last `dt` seconds, and now. What is summed up begins anew."""
    sums, fleet.sums = fleet.sums, Sums()
    engines, settings = fleet.ready, fleet.settings
    busy = any(one.running or one.waiting for one in engines)
    workers = tuple(
        WorkerLook(one.pages.held / one.pages.total, len(one.waiting), len(one.running))
        for one in engines
    )
    snapshot = Snapshot(
        now=fleet.now,
        dt=dt,
        arrived=sums.arrived,
        prompt=sums.prompt,
        cached=sums.cached,
        done=sums.done,
        done_out=sums.done_out,
        ready=len(engines),
        decoding=sum(one.decoding for one in engines),
        context=sum(one.context for one in engines),
        todo=sum(one.todo for one in engines),
        queued=len(fleet.queue),
        queued_tokens=fleet.queued_tokens,
        busy=busy or bool(fleet.queue) or fleet.moving > 0,
        target=fleet.target,
        pace=settings.profile.step_time,
        step_tokens=settings.profile.budget,
        start_s=settings.start_s,
        least=LEAST,
        most=settings.most,
    )
    return Look(snapshot, workers)
