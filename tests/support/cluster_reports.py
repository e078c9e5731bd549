"""What a worker reports, with the numbers that a test cares about."""

from dataclasses import asdict
from itertools import count
from typing import Any

from raylax.proto.vocabulary import Delta, Finish, Load, Request, StepTime
from raylax.worker.config import EngineConfig
from raylax.worker.engine.census import NOBODY
from raylax.worker.engine.engine_metrics import EngineMetrics
from raylax.worker.hardware.gpu_watch import NOTHING
from raylax.worker.scheduling.counters import Counters
from raylax.worker.serving.worker import versions


def engine_numbers() -> dict[str, Any]:
    """Every one that an engine may tell by MLC-LLM's names."""
    counters, metrics = Counters(), EngineMetrics(count(step=0.25).__next__)
    metrics.follow(counters)
    metrics.added(Request("r", (5, 6), 9))
    metrics.heard([Delta("r", (1,)), Delta("r", (2,), finish=Finish.LENGTH)])
    counters.generated_tokens = 2
    for _ in range(2):
        counters.verified(2, 1)
        counters.sums.add((0, 4, 9), 0.5, StepTime())
    counters.sums.add((2, 0, 0), 1.5, StepTime())
    return metrics.numbers()


def report(worker: str, state: str = "ready", **load: Any) -> dict[str, Any]:
    """A worker's report with this load; where nothing is said, a little of everything."""
    said = Load(**{"pages_total": 100, "pages_free": 60, "pages_cached": 15, **load})
    return {
        "worker_id": worker,
        "pid": 4242,
        "node": "0123456789abcdef",
        "address": "127.0.0.1:43210",
        "model": "tiny",
        "cores": [0, 1, 2, 5],
        "shards": [],
        "state": state,
        "stage": "pack 40%",
        "fault": None,
        "start_s": 6.5,
        "versions": versions(),
        "load": {**asdict(said), "kv_usage": said.kv_usage},
        "engine_config": asdict(EngineConfig(threads=1)) if state == "ready" else {},
        "engine_metrics": engine_numbers(),
        "done": Counters().told,
        "census": {
            "classes": {name: one._asdict() for name, one in NOBODY.classes.items()},
            "tenants": {},
        },
        **NOTHING,
        "time": 0.0,
    }
