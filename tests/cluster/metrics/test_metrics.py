"""What Metrics keeps of the workers, and how Prometheus reads it."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from raylax.cluster.metrics.exposition import COUNTERS, GAUGES, exposition
from raylax.cluster.metrics.record import ClusterRecord, Moment
from raylax.cluster.metrics.state import EXPIRES_S, Reports
from raylax.router.observe.exposition import PLAIN, families
from raylax.router.observe.measures import SUCCESS, RouterMeasures
from raylax.router.observe.metrics import CallMetrics
from raylax.worker.hardware.nvml import GpuSample
from tests.support.cluster_reports import report
from tests.support.router_rig import running_router

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(reports: Reports, now: float) -> Samples:
    """As Prometheus' own parser reads them; no name or series comes twice."""
    families = list(text_string_to_metric_families(exposition(reports, now).decode()))
    read = [
        ((s.name, frozenset(s.labels.items())), s.value)
        for family in families
        for s in family.samples
    ]
    assert len({family.name for family in families}) == len(families)
    assert len(dict(read)) == len(read)
    return dict(read)


def value(read: Samples, name: str, **labels: str) -> float:
    """Of the one series of that name with at least these labels."""
    (found,) = [v for (n, has), v in read.items() if n == name and labels.items() <= set(has)]
    return found


def test_a_worker_is_known_until_it_has_been_silent_for_long() -> None:
    reports = Reports()
    reports.add(report("b"), now=0.0)
    reports.add(report("a"), now=4.0)

    assert [(r["worker_id"], r["age_s"]) for r in reports.alive(5.0)] == [("a", 1.0), ("b", 5.0)]
    assert [r["worker_id"] for r in reports.alive(EXPIRES_S + 1)] == ["a"]
    assert reports.alive(EXPIRES_S + 5) == []


def test_the_last_report_counts() -> None:
    reports = Reports()
    reports.add(report("a", state="loading"), now=0.0)
    reports.add(report("a"), now=1.0)

    assert [r["state"] for r in reports.alive(1.0)] == ["ready"]


def test_who_says_goodbye_is_gone_at_once() -> None:
    """It was drained or stopped, and is no worker that has fallen silent."""
    reports = Reports()
    reports.add(report("a", generated_tokens=7), now=0.0)
    reports.add(report("a", state="ended", generated_tokens=9), now=1.0)

    assert reports.alive(1.0) == []
    assert reports.totals("generated_tokens") == {"tiny": 9}


def test_counters_are_a_models_own() -> None:
    """The sum of its workers, and of none of another model's."""
    reports = Reports()
    for worker, model, tokens in [("a", "one", 1), ("b", "two", 10), ("c", "two", 100)]:
        reports.add({**report(worker, generated_tokens=tokens), "model": model}, now=0.0)
    read = samples(reports, 0.0)

    assert value(read, "vllm:generation_tokens_total", model_name="one") == 1
    assert value(read, "vllm:generation_tokens_total", model_name="two") == 110
    assert all("model_name" in dict(labels) for _, labels in read)


def test_workers_that_are_gone_are_forgotten_but_for_what_they_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many come and go, what is kept of them is bounded."""
    monkeypatch.setattr("raylax.cluster.metrics.state.REMEMBERED", 3)
    reports = Reports()
    for number in range(20):
        reports.add(report(f"w{number}", step=1), now=float(number))
        reports.add(report(f"w{number}", state="ended", step=2), now=float(number))
    reports.add(report("silent", step=5), now=20.0)
    reports.add(report("last", step=7), now=40.0)

    assert len(reports.counted) == 4
    assert reports.totals("step") == {"tiny": 52}


NAMES = ['say "hi"', "back\\slash", "two\nlines", "模型 é", "{a=b}", "a,b"]
"""Of models: whatever people may write."""


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_model_can_be_read_back(name: str) -> None:
    """The workers' metrics and the routers' together, as Prometheus sees them: each family is
    described once, and no series comes twice."""
    reports = Reports()
    reports.add({**report("a"), "model": name}, now=0.0)
    reports.add({**report("b"), "model": "other"}, now=0.0)
    calls = {name: CallMetrics(), "other": CallMetrics()}
    for one in calls.values():
        one.begin()
        one.counted[SUCCESS]["stop"] += 1
    models = {model: one.measures() for model, one in calls.items()}
    of_calls = families(RouterMeasures(router="r", models=models))
    text = (PLAIN.written(of_calls) + exposition(reports, 0.0)).decode()
    described = [line.split(" ")[2] for line in text.splitlines() if line.startswith("# TYPE")]
    read = [s for f in text_string_to_metric_families(text) for s in f.samples]
    series = [(s.name, frozenset(s.labels.items())) for s in read]

    assert len(set(described)) == len(described)
    assert len(set(series)) == len(series)
    of_models = [s for s in read if not s.name.startswith("raylax_batch")]
    assert {s.labels.get("model_name") for s in of_models} == {name, "other"}


def test_a_counter_never_falls() -> None:
    """Not when a worker goes, not when one comes, and not twice for one that was only silent."""
    reports, seen = Reports(), []
    for now, worker, tokens in [(0, "a", 100), (1, "b", 10), (30, "b", 20), (31, "a", 105)]:
        reports.add(report(worker, generated_tokens=tokens), now=float(now))
        reports.alive(float(now))
        seen.append(value(samples(reports, float(now)), "vllm:generation_tokens_total"))

    assert seen == [100, 110, 120, 125]


def test_an_engine_that_begins_anew_takes_nothing_away() -> None:
    """As one that slept, and has its model loaded again; whatever goes on counting."""
    reports, seen = Reports(), []
    for now, steps, tokens in [(0, 10, 100), (1, 12, 120), (2, 1, 121), (3, 2, 5), (4, 9, 6)]:
        reports.add(report("a", step=steps, generated_tokens=tokens), now=float(now))
        totals = (reports.totals(name)["tiny"] for name in ("step", "generated_tokens"))
        seen.append(tuple(totals))

    assert seen == [(10, 100), (12, 120), (13, 121), (14, 126), (21, 127)]


def test_what_a_worker_does_not_know_for_a_while_is_counted_once() -> None:
    reports = Reports()
    for energy in (90.0, None, 95.0):
        reports.add({**report("a"), "energy_j": energy}, now=0.0)

    assert reports.totals("energy_j") == {"tiny": 95}


def test_gauges_are_a_workers_own() -> None:
    reports = Reports()
    reports.add(report("a", running=3, waiting=2, queued_tokens=70), now=0.0)
    reports.add(report("b", state="loading"), now=0.0)
    read = samples(reports, 0.0)

    assert value(read, "vllm:num_requests_running", worker="a", model_name="tiny") == 3
    assert value(read, "vllm:num_requests_waiting", worker="a") == 2
    assert value(read, "raylax_queued_tokens", worker="a") == 70
    assert value(read, "vllm:kv_cache_usage_perc", worker="a") == 0.25
    assert value(read, "raylax_worker_up", worker="a") == 1
    assert value(read, "raylax_worker_up", worker="b") == 0
    for state, pages in {"free": 60, "cached": 15, "used": 25}.items():
        assert value(read, "raylax_kv_pages", worker="a", state=state) == pages


def test_the_cache_is_described_as_vllm_does() -> None:
    reports = Reports()
    reports.add(report("a"), now=0.0)
    labels = {"block_size": "16", "num_gpu_blocks": "100", "cache_dtype": "auto"}

    assert value(samples(reports, 0.0), "vllm:cache_config_info", worker="a", **labels) == 1


@pytest.mark.parametrize("silence", [0.0, 100.0])
def test_every_counter_is_there_from_the_start(silence: float) -> None:
    """And stays when nobody reports: a graph then ends in a flat line, not in a gap."""
    reports = Reports()
    reports.add(report("a", state="loading", step=0), now=0.0)
    begun = samples(reports, 0.0)
    reports.add(report("a", step=7), now=0.0)

    assert {name for name, _ in begun} >= {f"{name}_total" for name in COUNTERS}
    assert value(samples(reports, silence), "raylax_steps_total") == 7


async def test_what_a_real_worker_reports_is_understood(checkpoint: Path) -> None:
    """Its complete engine configuration reaches /cluster, every gauge /metrics."""
    metrics, now = ClusterRecord(), Moment(1e6, 0.0)
    async with running_router(checkpoint) as rig:
        worker = rig.workers[0]
        metrics.report(worker.report(1, "node"), now)
        config = worker.engine.config
    (known,) = json.loads(metrics.view(now).model_dump_json())["workers"]
    text = metrics.exposition(now).decode()
    names = {family.name for family in text_string_to_metric_families(text)}

    assert known["state"] == "ready"
    assert known["engine_config"] == json.loads(json.dumps(asdict(config)))
    assert known["engine_config"]["max_num_sequence"] == 8
    assert names >= GAUGES.keys() | COUNTERS.keys()


GPU = asdict(GpuSample("GPU-1", "NVIDIA H200", 0.5, 3 << 30, 1 << 30, 412.5, 2000.0, 0, 31))


def test_a_gpu_is_shown_as_nvidias_exporter_shows_it() -> None:
    """In its units; what one does not tell is left out."""
    reports = Reports()
    mute = {**GPU, "uuid": "GPU-2", "energy_j": None, "utilization": None}
    reports.add(
        {**report("a"), "gpus": [GPU, mute], "energy_j": 90.0, "joules_per_token": 1.5}, 0.0
    )
    read = samples(reports, 0.0)

    expected = {
        "GPU_UTIL": 50,
        "FB_USED": 3072,
        "FB_FREE": 1024,
        "POWER_USAGE": 412.5,
        "TOTAL_ENERGY_CONSUMPTION": 2e6,
        "XID_ERRORS": 31,
        "ECC_DBE_VOL_TOTAL": 0,
    }
    labels = {"worker": "a", "UUID": "GPU-1", "modelName": "NVIDIA H200", "model_name": "tiny"}
    found = {name: value(read, f"DCGM_FI_DEV_{name}", **labels) for name in expected}
    assert found == expected
    assert sum("GPU-2" in dict(labels).values() for _, labels in read) == len(expected) - 2
    assert value(read, "raylax_energy_joules_total", model_name="tiny") == 90
    assert value(read, "raylax_joules_per_token", worker="a") == 1.5


def test_without_a_gpu_none_is_spoken_of() -> None:
    reports = Reports()
    reports.add(report("a"), now=0.0)

    assert not re.search("DCGM|joules", exposition(reports, 0.0).decode())


def test_the_energy_of_workers_that_are_gone_stays() -> None:
    reports = Reports()
    reports.add({**report("a"), "gpus": [GPU], "energy_j": 90.0}, now=0.0)
    reports.add({**report("a", state="ended"), "gpus": [GPU], "energy_j": 100.0}, now=1.0)
    reports.add({**report("b"), "gpus": [GPU], "energy_j": 5.0}, now=1.0)

    assert value(samples(reports, 1.0), "raylax_energy_joules_total") == 105
