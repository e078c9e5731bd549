"""What is kept of workers, in columns, and where it stands in their reports."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from raylax.cluster.metrics.history.columns import Column, Columns, Kind
from raylax.cluster.metrics.history.questions import Derived, ratio
from raylax.cluster.metrics.history.series import Numbers, numbers
from raylax.proto.vocabulary import Priority
from raylax.worker.scheduling.counters import PARTS

AMOUNTS = {
    "running": "requests in the batch",
    "waiting": "requests that wait for their prefill",
    "queued_tokens": "prompt tokens that wait for their prefill",
}
CLASSES = [one.name.lower() for one in Priority]


def part_column(part: str) -> str:
    """The column of a part of steps."""
    return f"part_{part.replace(' ', '_')}_s"


GAUGE, MEAN, COUNTER = Kind.GAUGE, Kind.MEAN, Kind.COUNTER
WORKER = Columns(
    [
        Column("running", GAUGE, "requests in the batch"),
        Column("waiting", GAUGE, "requests that wait for their prefill"),
        Column("decoding", GAUGE, "running requests that decode"),
        Column("queued_tokens", GAUGE, "prompt tokens that wait for their prefill"),
        Column("context_tokens", GAUGE, "tokens in the KV pages of those that decode"),
        Column("pages_total", GAUGE, "KV pages"),
        Column("pages_free", GAUGE, "KV pages that are free"),
        Column("pages_cached", GAUGE, "KV pages that nobody uses and somebody may find"),
        Column("pages_used", GAUGE, "KV pages that running requests hold"),
        Column("pace_step_s", MEAN, "learned pace: seconds that every step takes"),
        Column("pace_prefill_s", MEAN, "learned pace: seconds for each prefill token"),
        Column("pace_decode_s", MEAN, "learned pace: seconds for each sequence that decodes"),
        Column("pace_context_s", MEAN, "learned pace: seconds for each token of its context"),
        *(
            Column(f"{amount}_{name}", GAUGE, f"{AMOUNTS[amount]}, of class {name}")
            for name in CLASSES
            for amount in AMOUNTS
        ),
        Column("power_w", GAUGE, "power of its GPUs, W"),
        Column("steps", COUNTER, "engine steps"),
        Column("prefill_s", COUNTER, "seconds of steps that went to prefills"),
        Column("decode_s", COUNTER, "seconds of steps that went to decodes"),
        *(Column(part_column(part), COUNTER, f"seconds of steps: {part}") for part in PARTS),
        Column("pages_fetched", COUNTER, "KV pages that came from other workers"),
        Column("pages_handed_out", COUNTER, "KV pages that were sent to other workers"),
        Column("preemptions", COUNTER, "sequences that gave their pages back"),
        Column("prompt_tokens", COUNTER, "prompt tokens accepted"),
        Column("cached_tokens", COUNTER, "prompt tokens found in the prefix cache"),
        Column("generated_tokens", COUNTER, "tokens generated"),
        Column("drafts", COUNTER, "steps of a sequence that verified a draft"),
        Column("drafted_tokens", COUNTER, "drafted tokens that were verified"),
        Column("accepted_tokens", COUNTER, "drafted tokens that were right"),
        Column("energy_j", COUNTER, "energy of its GPUs while it had them, J"),
    ]
)
OF_WORKERS = {
    "kv_usage": Derived("share of the KV pages in use", ratio(["pages_used"], "pages_total")),
    "prefix_hit_rate": Derived(
        "share of the prompt tokens in the prefix cache", ratio(["cached_tokens"], "prompt_tokens")
    ),
    "acceptance": Derived(
        "share of drafted tokens that were right", ratio(["accepted_tokens"], "drafted_tokens")
    ),
    "step_s": Derived("seconds of a step", ratio(["prefill_s", "decode_s"], "steps")),
}
PACE = {"pace_step_s": "a", "pace_prefill_s": "b", "pace_decode_s": "c", "pace_context_s": "d"}
OF_ENGINE = {"prefill_s": "engine_prefill_time_sum", "decode_s": "engine_decode_time_sum"}


def of_worker(report: Mapping[str, Any]) -> Numbers:
    """By the columns of WORKER; NaN where the worker does not know."""
    load, engine, pace = report["load"], report["engine_metrics"], report["load"]["pace"]
    done, classes = report["done"], report["census"]["classes"]
    used = load["pages_total"] - load["pages_free"] - load["pages_cached"]
    powers = [gpu["power_w"] for gpu in report["gpus"] if gpu["power_w"] is not None]
    learned = any(pace.values())
    return numbers(
        {
            **load,
            "steps": load["step"],
            "pages_fetched": done["pages_fetched"],
            "pages_handed_out": done["pages_handed_out"],
            **{part_column(part): seconds for part, seconds in done["part_s"].items()},
            **{
                f"{amount}_{name}": number
                for name, present in classes.items()
                for amount, number in present.items()
            },
            "pages_used": used,
            **({name: pace[part] for name, part in PACE.items()} if learned else {}),
            **{name: engine.get(theirs) for name, theirs in OF_ENGINE.items()},
            "power_w": sum(powers) if powers else None,
            "energy_j": report["energy_j"],
        },
        WORKER,
    )


TENANT = Columns([Column(name, GAUGE, text) for name, text in AMOUNTS.items()])
"""Of tenants, for each model: those with most requests, and all others together."""


def of_tenants(reports: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], Numbers]:
    """By model and tenant, of all its workers; by the columns of TENANT."""
    sums = defaultdict[tuple[str, str], list[int]](lambda: [0] * len(TENANT))
    for report in reports:
        for tenant, present in report["census"]["tenants"].items():
            of_them = sums[report["model"], tenant]
            for at, name in enumerate(TENANT.names):
                of_them[at] += present[name]
    return {key: np.array(of_them, np.float64) for key, of_them in sums.items()}


RANK = Columns(
    [
        Column("utilization", MEAN, "use of the rank's GPU, 0 to 1"),
        Column("memory_used", GAUGE, "its memory in use, bytes"),
        Column("memory_free", GAUGE, "its memory that is free, bytes"),
        Column("power_w", GAUGE, "its power, W"),
        Column("energy_j", COUNTER, "its energy, J"),
    ]
)
"""Of ranks with GPUs: all else is the same at every rank, which run the same steps."""


def of_ranks(report: Mapping[str, Any]) -> dict[int, Numbers]:
    """By the columns of RANK, by rank. A GPU is a rank's by its UUID; the first one's is nobody
    else's."""
    ranks = {shard["gpu"]: shard["rank"] for shard in report["shards"] if "gpu" in shard}
    return {ranks.get(gpu["uuid"], 0): numbers(gpu, RANK) for gpu in report["gpus"]}
