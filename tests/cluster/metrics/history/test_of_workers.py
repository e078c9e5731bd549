"""What is kept of workers, of their ranks, and of the tenants there."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from raylax.cluster.metrics.history.of_workers import RANK, WORKER, of_ranks, of_worker
from raylax.cluster.metrics.record import ClusterRecord, Moment
from raylax.worker.hardware.nvml import GpuSample
from tests.support.cluster_reports import report


def named(report: dict[str, Any]) -> dict[str, float]:
    return dict(zip(WORKER.names, of_worker(report).tolist(), strict=True))


def gpu(uuid: str, power_w: float | None) -> dict[str, Any]:
    return asdict(GpuSample(uuid, "NVIDIA H200", 0.5, 3 << 30, 1 << 30, power_w, 2000.0))


def test_every_number_of_a_report_has_its_column() -> None:
    """What it does not know is no number: not zero watts, and no pace of nothing."""
    said = report("a", running=3, step=9)
    said["done"]["part_s"]["decide ahead"] = 1.5
    said["census"]["classes"]["low"] = {"running": 1, "waiting": 2, "queued_tokens": 30}
    told = named(said)

    assert (told["running"], told["steps"], told["pages_used"]) == (3, 9, 25)
    assert told["part_decide_ahead_s"] == 1.5
    assert [told[f"{name}_low"] for name in ("running", "waiting", "queued_tokens")] == [1, 2, 30]
    unknown = {name for name, value in told.items() if np.isnan(value)}
    assert unknown == {
        "power_w", "energy_j", "pace_step_s", "pace_prefill_s", "pace_decode_s", "pace_context_s"
    }  # fmt: skip


def test_the_power_of_a_worker_is_that_of_its_gpus() -> None:
    said = {**report("a"), "gpus": [gpu("1", 400.0), gpu("2", None), gpu("3", 90.0)]}

    assert named(said)["power_w"] == 490


def test_a_gpu_is_its_ranks_by_uuid() -> None:
    """The first rank is told of by its worker, the others with their own."""
    shards = [{"rank": 2, "gpu": "GPU-c"}, {"rank": 1, "gpu": "GPU-b"}]
    gpus = [gpu("GPU-a", 10.0), gpu("GPU-b", 20.0), gpu("GPU-c", 30.0)]
    told = of_ranks({**report("a"), "shards": shards, "gpus": gpus})
    power = RANK.names.index("power_w")

    assert {rank: values[power] for rank, values in told.items()} == {0: 10, 1: 20, 2: 30}
    assert of_ranks(report("cpu")) == {}


def test_a_tenant_has_what_it_has_at_all_workers_of_a_model() -> None:
    """By name, and all but the largest together."""
    record = ClusterRecord()

    def says(worker: str, second: float, **tenants: int) -> None:
        said = report(worker)
        there = {
            name: {"running": running, "waiting": 0, "queued_tokens": 0}
            for name, running in tenants.items()
        }
        census = {**said["census"], "tenants": there}
        record.report({**said, "census": census}, Moment(1_000_000 + second, second))

    record.turn(Moment(1_000_000, 0))
    for second in range(1, 4):
        says("a", second, ann=2, **{"*": 5})
        says("b", second, ann=3, bob=1)
        record.turn(Moment(1_000_000.5 + second, second + 0.5))
    asked = {"kind": "tenants", "rows": "all", "since": "1000001", "until": "1000003"}
    rows = record.history(asked, Moment(1_000_004, 4)).rows

    assert {row.name: row.values["running"] for row in rows} == {
        "tiny/ann": [5, 5], "tiny/bob": [1, 1], "tiny/*": [5, 5]
    }  # fmt: skip


@pytest.mark.parametrize("state", ["loading", "ready", "draining", "failed"])
def test_a_worker_in_any_state_can_be_kept(state: str) -> None:
    assert len(of_worker(report("a", state))) == len(WORKER)
