"""Reports in Prometheus' text format: vLLM's names where they mean the same, else raylax_."""

import re
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    UnknownMetricFamily,
)

from raylax.cluster.metrics.state import ACCEPTED_AT, BUCKETS, PART_S, Report, Reports
from raylax.router.observe.exposition import PLAIN, Format
from raylax.worker.scheduling.counters import STEP_TOKENS

GAUGES = {
    "vllm:num_requests_running": ("running", "Requests in the batch"),
    "vllm:num_requests_waiting": ("waiting", "Requests that wait for their prefill"),
    "vllm:kv_cache_usage_perc": ("kv_usage", "Share of KV pages in use, 0 to 1"),
    "raylax_queued_tokens": ("queued_tokens", "Prompt tokens that wait for their prefill"),
}
COUNTERS = {
    "vllm:prompt_tokens": ("prompt_tokens", "Prompt tokens accepted"),
    "vllm:generation_tokens": ("generated_tokens", "Tokens generated"),
    "vllm:num_preemptions": ("preemptions", "Sequences that gave their pages back"),
    "vllm:prefix_cache_queries": ("prompt_tokens", "Prompt tokens looked up in the prefix cache"),
    "vllm:prompt_tokens_cached": ("cached_tokens", "Prompt tokens that need not be computed"),
    "vllm:prefix_cache_hits": ("cached_tokens", "Prompt tokens found in the prefix cache"),
    "vllm:spec_decode_num_drafts": ("drafts", "Steps of a sequence that verified a draft"),
    "vllm:spec_decode_num_draft_tokens": ("drafted_tokens", "Drafted tokens that were verified"),
    "vllm:spec_decode_num_accepted_tokens": ("accepted_tokens", "Drafted tokens that were right"),
    "raylax_steps": ("step", "Engine steps"),
    "raylax_kv_pages_fetched": ("pages_fetched", "KV pages that came from other workers"),
    "raylax_kv_pages_handed_out": ("pages_handed_out", "KV pages sent to other workers"),
    "raylax_kv_pages_put_back": ("pages_put_back", "KV pages of who gave way, from host memory"),
}
STEP_SIZES = "vllm:iteration_tokens_total"
LABELS = ["model_name", "worker"]
MIB = 1 << 20
GPU_GAUGES = {
    "DCGM_FI_DEV_GPU_UTIL": ("utilization", 100, "Use of the GPU, %"),
    "DCGM_FI_DEV_FB_USED": ("memory_used", 1 / MIB, "Its memory in use, MiB"),
    "DCGM_FI_DEV_FB_FREE": ("memory_free", 1 / MIB, "Its memory that is free, MiB"),
    "DCGM_FI_DEV_POWER_USAGE": ("power_w", 1, "Its power, W"),
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": (
        "energy_j",
        1000,
        "Its energy since the driver was loaded, mJ",
    ),
    "DCGM_FI_DEV_XID_ERRORS": ("xid", 1, "Its last Xid, 0 if none"),
    "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL": ("ecc_errors", 1, "Its uncorrectable ECC errors"),
}
"""What a worker says of its GPUs, by the names and in the units of NVIDIA's dcgm-exporter."""
OF_ENGINES = "As MLC-LLM's engines tell it"
LABELLED = re.compile(r"(\w+)\{(\w+)=(\w+)\}")
"""How MLC writes a name with a label."""
SOURCES = "Prompt tokens that were computed, or found in pages, also in those of other workers"
ENERGY = "Energy of the GPUs while workers had them, by their share"
JOULES = "Energy for each token generated within a minute"


def labels_of(report: Report) -> list[str]:
    """Values for LABELS."""
    return [report["model"], report["worker_id"]]


class Exposition:
    """Gauges by worker; counters by model, of all its workers, so that they never fall."""

    def __init__(self, reports: Reports, now: float) -> None:
        self._reports, self._now = reports, now

    def collect(self) -> Iterator[Metric]:
        """Its families."""
        alive = self._reports.alive(self._now)
        yield from self._of_workers(alive)
        yield from of_engines(alive)
        if any(report["gpus"] for report in alive):
            yield from self._of_gpus(alive)

    def _of_workers(self, alive: list[Report]) -> Iterator[Metric]:
        up = GaugeMetricFamily("raylax_worker_up", "1 when the worker serves", labels=LABELS)
        info = GaugeMetricFamily(
            "vllm:cache_config_info",
            "KV cache of a worker",
            labels=[*LABELS, "block_size", "num_gpu_blocks", "cache_dtype"],
        )
        pages = GaugeMetricFamily("raylax_kv_pages", "KV pages", labels=[*LABELS, "state"])
        for report in alive:
            load, config, labels = report["load"], report["engine_config"], labels_of(report)
            up.add_metric(labels, float(report["state"] == "ready"))
            total, free, cached = (load[f"pages_{name}"] for name in ("total", "free", "cached"))
            counts = {"free": free, "cached": cached, "used": total - free - cached}
            for state, count in counts.items():
                pages.add_metric([*labels, state], count)
            if config:
                size, dtype = str(config["kv_cache_page_size"]), str(config["kv_dtype"])
                info.add_metric([*labels, size, str(total), dtype], 1)
        yield from (up, pages, info)
        for name, (key, text) in GAUGES.items():
            gauge = GaugeMetricFamily(name, text, labels=LABELS)
            for report in alive:
                gauge.add_metric(labels_of(report), report["load"][key])
            yield gauge
        yield from self._of_steps()
        yield from self._of_tokens()
        for name, (key, text) in COUNTERS.items():
            counter = CounterMetricFamily(name, text, labels=["model_name"])
            for model, total in self._reports.totals(key).items():
                counter.add_metric([model], total)
            yield counter

    def _of_steps(self) -> Iterator[Metric]:
        """Of models: how large steps were, where their time went, and pages between workers."""
        sizes = HistogramMetricFamily(STEP_SIZES, "Tokens of an engine step", labels=["model_name"])
        ends = [*(str(float(limit)) for limit in STEP_TOKENS), "+Inf"]
        of_bucket = [self._reports.totals(bucket) for bucket in BUCKETS]
        for model, total in self._reports.totals("step_tokens_sum").items():
            counts = accumulate(int(totals[model]) for totals in of_bucket)
            sizes.add_metric([model], [*zip(ends, counts, strict=True)], total)
        yield sizes
        parts = CounterMetricFamily(
            "raylax_step_seconds", "Time of engine steps, by part", labels=["model_name", "part"]
        )
        for part, counter in PART_S.items():
            for model, total in self._reports.totals(counter).items():
                parts.add_metric([model, part], total)
        yield parts

    def _of_tokens(self) -> Iterator[Metric]:
        """Of models: where prompts' pages came from, and how good drafts were."""
        sources = CounterMetricFamily(
            "vllm:prompt_tokens_by_source", SOURCES, labels=["model_name", "source"]
        )
        cached = self._reports.totals("cached_tokens")
        for model, total in self._reports.totals("prompt_tokens").items():
            sources.add_metric([model, "local_compute"], total - cached[model])
            sources.add_metric([model, "local_cache_hit"], cached[model])
        yield sources
        accepted = CounterMetricFamily(
            "vllm:spec_decode_num_accepted_tokens_per_pos",
            "Drafted tokens that were right, by their place in the draft",
            labels=["model_name", "position"],
        )
        for place, counter in enumerate(ACCEPTED_AT):
            for model, total in self._reports.totals(counter).items():
                accepted.add_metric([model, str(place)], total)
        yield accepted

    def _of_gpus(self, alive: list[Report]) -> Iterator[Metric]:
        """Of a cluster that has some."""
        for name, (key, scale, text) in GPU_GAUGES.items():
            gauge = GaugeMetricFamily(name, text, labels=[*LABELS, "UUID", "modelName"])
            for report in alive:
                for gpu in report["gpus"]:
                    if gpu[key] is not None:
                        labels = [*labels_of(report), gpu["uuid"], gpu["name"]]
                        gauge.add_metric(labels, gpu[key] * scale)
            yield gauge
        energy = CounterMetricFamily("raylax_energy_joules", ENERGY, labels=["model_name"])
        for model, total in self._reports.totals("energy_j").items():
            energy.add_metric([model], total)
        yield energy
        joules = GaugeMetricFamily("raylax_joules_per_token", JOULES, labels=LABELS)
        for report in alive:
            if report["joules_per_token"] is not None:
                joules.add_metric(labels_of(report), report["joules_per_token"])
        yield joules


def of_engines(alive: list[Report]) -> Iterator[Metric]:
    """What engines tell by MLC-LLM's names, of which each is written as there, the levels above it
    in front. They begin anew when an engine is reset."""
    families: dict[str, UnknownMetricFamily] = {}
    for report in alive:
        for name, label, value in flat(report["engine_metrics"]):
            labels = [*LABELS, *label]
            family = families.setdefault(name, UnknownMetricFamily(name, OF_ENGINES, labels=labels))
            family.add_metric([*labels_of(report), *label.values()], value)
    yield from families.values()


def flat(numbers: dict[str, Any], above: str = "") -> Iterator[tuple[str, dict[str, str], float]]:
    """Name, label and value of each number; lists, of which each level tells otherwise, are left
    out."""
    for name, value in numbers.items():
        if isinstance(value, dict):
            yield from flat(value, f"{above}{name}_")
        elif isinstance(value, int | float):
            labelled = LABELLED.fullmatch(name)
            label = {labelled[2]: labelled[3]} if labelled else {}
            yield f"{above}{labelled[1] if labelled else name}", label, float(value)


def exposition(reports: Reports, now: float, form: Format = PLAIN) -> bytes:
    """All of it as text."""
    return form.written(Exposition(reports, now).collect())
