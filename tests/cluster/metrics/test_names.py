"""The names of metrics, by the rules of `promtool check metrics`: those of our own have none of its
warnings. Names of others, as vLLM's, are theirs."""

import re
from collections.abc import Iterator

import pytest
from prometheus_client.core import Metric

from raylax.cluster.metrics.exposition import GPU_GAUGES, Exposition
from raylax.cluster.metrics.state import Reports
from raylax.router.observe.exposition import families
from raylax.router.observe.measures import RouterMeasures
from raylax.router.observe.metrics import CallMetrics
from tests.support.cluster_reports import engine_numbers, report

OWN = "raylax_"
VLLM = "vllm:"
SHORT_UNITS = {
    "s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d", "w", "j", "mib",
}  # fmt: skip
NOT_BASE = {
    "milliseconds", "microseconds", "nanoseconds", "minutes", "hours", "days", "weeks", "bits",
    "kilobytes", "megabytes", "gigabytes", "kibibytes", "mebibytes", "gibibytes", "percent",
    "kilojoules", "millijoules", "kilowatts",
}  # fmt: skip
TYPES = {"gauge", "counter", "summary", "histogram", "unknown"}
GPU = {name: 1 for name, _, _ in GPU_GAUGES.values()} | {"uuid": "GPU-1", "name": "NVIDIA H200"}


def everything() -> list[Metric]:
    """Every family that there may be."""
    reports = Reports()
    reports.add({**report("a"), "gpus": [GPU], "energy_j": 1.0, "joules_per_token": 1.0}, 0.0)
    calls = RouterMeasures(router="r", models={"tiny": CallMetrics().measures()})
    return [*Exposition(reports, 0.0).collect(), *families(calls)]


def wrongs(metric: Metric) -> Iterator[str]:
    """What promtool would say of a family."""
    name = metric.name + ("_total" if metric.type == "counter" else "")
    words = name.split("_")
    if not metric.documentation.strip():
        yield "no help text"
    if metric.type != "counter" and name.endswith("_total"):
        yield "non-counter metrics should not have a _total suffix"
    if name.endswith(("_bucket", "_count", "_sum")):
        yield "suffix of a part of a histogram or summary"
    if ":" in name:
        yield "metric names should not contain ':'"
    if re.search("[a-z][A-Z]", name):
        yield "metric names should be written in snake_case"
    if TYPES & set(words):
        yield "metric name should not include type"
    if SHORT_UNITS & {word.lower() for word in words}:
        yield "metric names should not contain abbreviated units"
    if NOT_BASE & set(words):
        yield "use a base unit"
    labels = {label for sample in metric.samples for label in sample.labels}
    if ("le" in labels and metric.type != "histogram") or "quantile" in labels:
        yield "label of a part of a histogram or summary"


@pytest.mark.parametrize("metric", everything(), ids=lambda one: str(one.name))
def test_our_own_names_are_clean(metric: Metric) -> None:
    """Others' names are known by what stands before them, or are MLC-LLM's."""
    if metric.name.startswith(OWN):
        assert list(wrongs(metric)) == []
    else:
        mlcs = any(metric.name.startswith(name.split("{")[0]) for name in engine_numbers())
        assert mlcs or metric.name.startswith((VLLM, "DCGM_FI_DEV_"))
        assert metric.documentation


@pytest.mark.parametrize(
    ("metric", "wrong"),
    [
        (Metric("raylax_things", "", "gauge"), "no help text"),
        (Metric("raylax_things_total", "text", "gauge"), "non-counter metrics"),
        (Metric("raylax_things_count", "text", "gauge"), "suffix of a part"),
        (Metric("raylax:things", "text", "gauge"), "should not contain ':'"),
        (Metric("raylax_manyThings", "text", "gauge"), "snake_case"),
        (Metric("raylax_things_gauge", "text", "gauge"), "should not include type"),
        (Metric("raylax_wait_ms", "text", "gauge"), "abbreviated units"),
        (Metric("raylax_wait_milliseconds", "text", "gauge"), "use a base unit"),
    ],
    ids=lambda one: one.name if isinstance(one, Metric) else one,
)
def test_the_rules_find_what_is_wrong(metric: Metric, wrong: str) -> None:
    assert any(wrong in said for said in wrongs(metric))


BOARDS = {
    "vllm:e2e_request_latency_seconds_bucket",
    "vllm:prompt_tokens_total",
    "vllm:generation_tokens_total",
    "vllm:inter_token_latency_seconds_bucket",
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:time_to_first_token_seconds_bucket",
    "vllm:kv_cache_usage_perc",
    "vllm:request_prompt_tokens_bucket",
    "vllm:request_generation_tokens_bucket",
    "vllm:request_queue_time_seconds_sum",
    "vllm:request_prefill_time_seconds_sum",
    "vllm:request_decode_time_seconds_sum",
    "vllm:request_max_num_generation_tokens_sum",
    "vllm:iteration_tokens_total_bucket",
}
"""What the panels of vLLM's example boards for Grafana are drawn from, but for one that has a
series for each of its values and so none before the first call: vllm:request_success_total."""


def test_the_panels_of_vllms_boards_are_filled() -> None:
    """From the first scrape on."""
    there = {sample.name for metric in everything() for sample in metric.samples}

    assert BOARDS - there == set()
