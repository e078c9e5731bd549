"""What one decision of the autoscaler costs, by number of workers.

    python bench/scaling_decision.py [--workers 8 64 256] [--rounds 200]

The whole look of a model's policy as Serve's controller makes it: what 64 replicas and four routers
recorded, the rule, its forecast, the receipt and its encoding; the store is a dictionary. A figure
is the median of the rounds, in milliseconds of CPU. The bar is 5 ms at 64 workers.
"""

import argparse
import time
from datetime import UTC, datetime
from statistics import median
from types import SimpleNamespace
from typing import Any

from raylax.cluster.autoscaling.on_serve.policy import RouterPolicy, WorkerPolicy
from raylax.cluster.autoscaling.rule import EVERY_S
from raylax.proto.vocabulary import Load, StepTime
from raylax.worker.serving.scaling_stats import scaling_stats

ROUTERS = 4
PACE = StepTime(0.008, 50e-6, 40e-6, 50e-9)
BAR_MS, BAR_WORKERS = 5.0, 64


class Dictionary(dict[str, bytes]):
    """In the place of Ray's store."""

    def put(self, key: str, value: bytes) -> None:
        self[key] = value


def recorded(stats: dict[str, dict[str, float]]) -> dict[str, dict[str, list[Any]]]:
    """As Serve keeps it: by name and replica a series."""
    names = next(iter(stats.values()))
    return {
        name: {who: [SimpleNamespace(value=values[name])] for who, values in stats.items()}
        for name in names
    }


def contexts(workers: int, step: int) -> tuple[Any, Any]:
    """Of the routers and of the workers, at a step of a rate that swings."""
    came = 400 * step + 50 * (step % 7)
    routers = {
        f"r{i}": {
            "arrived/m": came,
            "prompt_tokens/m": came * 900,
            "held/m": 3,
            "held_tokens/m": 2700,
        }
        for i in range(ROUTERS)
    }
    load = Load(running=20, waiting=2, queued_tokens=900, decoding=18, context_tokens=20_000, step_tokens=2048,
                cached_tokens=came * 100, ended=came // 8, ended_tokens=came * 25, pace=PACE)  # fmt: skip
    stats = {f"w{i}": scaling_stats(load, 12.0) for i in range(workers)}
    about = {"app_name": "bench", "target_num_replicas": workers, "current_num_replicas": workers}
    return SimpleNamespace(raw_metrics=recorded(routers), **about), SimpleNamespace(
        raw_metrics=recorded(stats), **about
    )


def milliseconds(workers: int, rounds: int) -> float:
    policy = WorkerPolicy(
        "m",
        1,
        2 * workers,
        [("0 8 * * 1-5", 2)],
        itl_s=0.075,
        ttft_s=1.0,
        pool=2.0 * workers,
        store=Dictionary(),
    )
    asks, took, date = RouterPolicy(), [], datetime(2026, 11, 30, tzinfo=UTC)
    for step in range(rounds):
        of_routers, of_workers = contexts(workers, step)
        began = time.process_time()
        asks(of_routers)
        policy.at(EVERY_S * step, date, of_workers)
        took.append(time.process_time() - began)
    return 1000 * median(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[8, 64, 256])
    parser.add_argument("--rounds", type=int, default=200)
    given = parser.parse_args()
    for workers in given.workers:
        took = milliseconds(workers, given.rounds)
        bar = f", the bar is {BAR_MS:g}" if workers == BAR_WORKERS else ""
        print(f"{workers:4} workers  {took:6.2f} ms{bar}")


if __name__ == "__main__":
    main()
