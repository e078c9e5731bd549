"""How many workers there should be: a plain function of what they say (law 5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    """What a worker says of itself."""

    kv_usage: float
    """Share of its KV pages in use, 0 to 1."""
    waiting: float
    """Requests that wait for their prefill."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Marks between which the number of workers stays; see `config.sections.Autoscaling`."""

    high_kv_usage: float
    low_kv_usage: float
    high_waiting: float


def desired_replicas(
    loads: Sequence[WorkerLoad], current: int, least: int, most: int, t: Thresholds
) -> int:
    """The number of workers that there should be, from `least` to `most`.

    One more while the average worker is short of pages or keeps requests waiting. One less only if
    the others could take over its pages and stay below the low mark, and nobody waits: between the
    two marks nothing changes, so that the number does not swing.
    """
    if not loads:
        return max(least, min(current, most))
    usage = sum(load.kv_usage for load in loads) / len(loads)
    waiting = sum(load.waiting for load in loads) / len(loads)
    wanted = current
    if usage > t.high_kv_usage or waiting > t.high_waiting:
        wanted = current + 1
    elif waiting == 0 and current > 1 and usage * current / (current - 1) < t.low_kv_usage:
        wanted = current - 1
    return max(least, min(wanted, most))


class KVPolicy:
    """The function as Ray Serve calls it: that averages what it says, and delays what it wants."""

    def __init__(self, high_kv_usage: float, low_kv_usage: float, high_waiting: float) -> None:
        self._thresholds = Thresholds(high_kv_usage, low_kv_usage, high_waiting)

    def __call__(self, context: Any) -> tuple[int, dict[str, Any]]:
        """context: ray.serve.config.AutoscalingContext -> (replicas, state to keep)."""
        metrics = context.aggregated_metrics or {}
        usage, waiting = metrics.get("kv_usage", {}), metrics.get("waiting", {})
        loads = [WorkerLoad(usage[replica], waiting.get(replica, 0.0)) for replica in usage]
        wanted = desired_replicas(
            loads,
            context.target_num_replicas,
            context.capacity_adjusted_min_replicas,
            context.capacity_adjusted_max_replicas,
            self._thresholds,
        )
        return wanted, {}
