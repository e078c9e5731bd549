"""What a worker reports, with the numbers that a test cares about."""

from dataclasses import asdict
from typing import Any

from raylax.proto.vocabulary import Load
from raylax.worker.config import EngineConfig
from raylax.worker.hardware.gpu_watch import NOTHING
from raylax.worker.serving.worker import versions


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
        "versions": versions(),
        "load": {**asdict(said), "kv_usage": said.kv_usage},
        "engine_config": asdict(EngineConfig(threads=1)) if state == "ready" else {},
        **NOTHING,
        "time": 0.0,
    }
