"""The names of metrics, by the rules of `promtool check metrics`: those of our own have none of its
warnings. Names of others, as vLLM's, are theirs."""

import re
from collections.abc import Iterator

import pytest
from prometheus_client.core import Metric

from tests.support.cluster_reports import engine_numbers
from tests.support.metric_families import everything

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


def parts(name: str, *more: str) -> set[str]:
    """Of a histogram: what means are made of, and of more of it."""
    return {f"{name}_{part}" for part in ("sum", "count", *more)}


E2E, TTFT, ITL = (
    parts(name, "bucket")
    for name in (
        "vllm:e2e_request_latency_seconds",
        "vllm:time_to_first_token_seconds",
        "vllm:inter_token_latency_seconds",
    )
)
TOKENS = {"vllm:prompt_tokens_total", "vllm:generation_tokens_total"}
SUCCESS = {"vllm:request_success_total"}
QUEUES = {"vllm:num_requests_running", "vllm:num_requests_waiting"}
BY_REASON = {"vllm:num_requests_waiting_by_reason"}
CACHE = {
    "vllm:kv_cache_usage_perc", "vllm:num_preemptions_total", "vllm:prefix_cache_hits_total",
    "vllm:prefix_cache_queries_total",
}  # fmt: skip
OF_OTHERS = {
    "vllm:external_prefix_cache_hits_total", "vllm:external_prefix_cache_queries_total",
    "vllm:mm_cache_hits_total", "vllm:mm_cache_queries_total",
}  # fmt: skip
BY_SOURCE = {"vllm:prompt_tokens_by_source_total"}
STEPS = parts("vllm:iteration_tokens_total", "bucket")
PHASES = {
    f"vllm:request_{phase}_time_seconds_sum" for phase in ("queue", "prefill", "decode")
}  # fmt: skip
LENGTHS = {
    f"vllm:request_{what}_tokens_{part}"
    for what in ("prompt", "generation")
    for part in ("bucket", "sum", "count")
}
DRAFTS = {
    f"vllm:spec_decode_num_{what}_total"
    for what in ("drafts", "draft_tokens", "accepted_tokens", "accepted_tokens_per_pos")
}
BOARDS: dict[str, set[str]] = {
    "prometheus_grafana/grafana.json": {
        *E2E, *TOKENS, *ITL, *QUEUES, *TTFT, "vllm:kv_cache_usage_perc", *SUCCESS, *PHASES,
        "vllm:request_prompt_tokens_bucket", "vllm:request_generation_tokens_bucket",
        "vllm:request_max_num_generation_tokens_sum",
    },
    "dashboards/grafana/performance_statistics.json": {
        *E2E, *TTFT, *ITL, *TOKENS, "vllm:iteration_tokens_total_count",
    },
    "dashboards/grafana/query_statistics.json": {
        *SUCCESS, "vllm:e2e_request_latency_seconds_bucket", "vllm:request_prompt_tokens_bucket",
        *TOKENS,
    },
    "dashboards/grafana/vllm_overview.json": {
        *SUCCESS, *TOKENS, *TTFT, *ITL, *E2E, *QUEUES, *CACHE, *BY_REASON, *STEPS, *OF_OTHERS,
        *BY_SOURCE, *LENGTHS, *parts("vllm:request_time_per_output_token_seconds", "bucket"),
        *parts("vllm:request_queue_time_seconds", "bucket"),
        *parts("vllm:request_prefill_time_seconds"), *parts("vllm:request_decode_time_seconds"),
    },
    "dashboards/grafana/vllm_speculative_decoding.json": {
        *DRAFTS, "vllm:generation_tokens_total", *ITL, "vllm:num_requests_running",
    },
    "dashboards/grafana/vllm_kv_cache.json, what needs no connector": {
        *CACHE, *BY_REASON, *BY_SOURCE, *OF_OTHERS, "vllm:num_requests_running",
        "vllm:prompt_tokens_cached_total", "vllm:prompt_tokens_total",
        *parts("vllm:request_prompt_tokens"), *parts("vllm:request_prefill_kv_computed_tokens"),
    },
}  # fmt: skip
"""By vLLM's example boards for Grafana, as they were in November 2026: the names of vLLM's own that
their panels and variables ask for."""
NOT_HERE = OF_OTHERS | BY_REASON
"""Nothing is cached outside of workers, and no images; who waits is not told apart by why."""


@pytest.mark.parametrize("board", BOARDS)
def test_the_panels_of_vllms_boards_are_filled(board: str) -> None:
    """From the first scrape on, but for reasons of an end: each has a series once it occurred."""
    metrics = everything()
    there = {sample.name for metric in metrics for sample in metric.samples}
    there |= {f"{metric.name}_total" for metric in metrics if metric.type == "counter"}

    assert BOARDS[board] - there == BOARDS[board] & NOT_HERE
