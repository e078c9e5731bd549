"""The cluster as it is, with its sums: the body of /cluster."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, Field

from raylax.cluster.metrics.state import Report
from raylax.proto.wire.outlook import Outlook
from raylax.router.observe import measures as m
from raylax.router.observe.measures import RouterReport, RunningRequest


class Pace(BaseModel):
    """How long steps take, as it was learned: `a + b*prefill + c*decoding + d*context` seconds;
    zeros while nothing is known."""

    a: float
    b: float
    c: float
    d: float


class WorkerLoad(BaseModel):
    """A worker between two steps. Counters are since its start."""

    running: int = Field(description="requests in the batch")
    waiting: int = Field(description="requests that wait for their prefill")
    queued_tokens: int = Field(description="prompt tokens that wait for their prefill")
    pages_total: int = Field(description="KV pages")
    pages_free: int = Field(description="of those, which are free")
    pages_cached: int = Field(description="of those, which nobody uses and somebody may find")
    kv_usage: float = Field(description="share of the pages in use, 0 to 1")
    step: int = Field(description="counter of steps")
    preemptions: int = Field(description="counter of sequences that gave their pages back")
    prompt_tokens: int = Field(description="counter of prompt tokens accepted")
    cached_tokens: int = Field(description="counter of those that were found in the prefix cache")
    generated_tokens: int = Field(description="counter of tokens generated")
    ended: int = Field(description="counter of requests that have ended, however")
    ended_tokens: int = Field(description="counter of the tokens of their answers")
    drafts: int = Field(description="counter of steps of a sequence that verified a draft")
    drafted_tokens: int = Field(description="counter of drafted tokens that were verified")
    accepted_tokens: int = Field(description="counter of those that were right")
    decoding: int = Field(description="running requests that decode")
    context_tokens: int = Field(description="tokens in the KV pages of those")
    step_tokens: int = Field(description="how many tokens a step may compute")
    prefill_room: int = Field(description="of those, beside the requests that decode")
    taken: int = Field(description="counter of requests taken up")
    pace: Pace = Field(description="its learned pace")
    draining: bool = Field(description="it takes no new requests")


class Gpu(BaseModel):
    """What a worker's GPU tells; null: it does not."""

    uuid: str
    name: str
    utilization: float | None = Field(description="0 to 1")
    memory_used: int | None = Field(description="bytes")
    memory_free: int | None = Field(description="bytes")
    power_w: float | None
    energy_j: float | None = Field(description="since its driver was loaded")
    ecc_errors: int | None = Field(description="uncorrectable ones")
    xid: int | None = Field(description="the last one that was heard, 0 if none")


class Present(BaseModel):
    """What some have at a worker."""

    running: int
    waiting: int
    queued_tokens: int


class Census(BaseModel):
    """Who is at a worker."""

    classes: dict[str, Present] = Field(description="by the name of the class")
    tenants: dict[str, Present] = Field(description="those with most requests; *: all others")


class Done(BaseModel):
    """What a worker's steps have come to; counters since its model was loaded."""

    part_s: dict[str, float] = Field(description="seconds, by part of a step")
    step_tokens: list[int] = Field(description="steps by their tokens, as vLLM's buckets")
    step_tokens_sum: int
    pages_fetched: int = Field(description="KV pages that came from other workers")
    pages_handed_out: int = Field(description="KV pages that were sent to other workers")
    pages_put_back: int = Field(description="KV pages of who gave way, from host memory")
    accepted_at: list[int] = Field(description="drafted tokens that were right, by their place")


class ClusterWorker(BaseModel):
    """A worker."""

    worker_id: str
    pid: int
    node: str = Field(description="Ray's name of its machine")
    address: str = Field(description="where routers reach it")
    model: str
    cores: list[int] = Field(description="that its threads have to themselves")
    shards: list[dict[str, Any]] = Field(description="its ranks beyond the first")
    state: str = Field(description="loading, ready, draining or failed")
    stage: str = Field(description="how far it has come, while it loads")
    fault: str | None = Field(description="why it can no longer serve")
    start_s: float = Field(description="from its process's begin until it served; 0 before")
    versions: dict[str, str]
    load: WorkerLoad
    engine_config: dict[str, Any] = Field(description="complete; empty while it loads")
    engine_metrics: dict[str, Any] = Field(description="by the names of MLC-LLM")
    done: Done
    census: Census
    gpus: list[Gpu]
    energy_j: float | None = Field(description="counter of what its GPUs took while it had them")
    joules_per_token: float | None = Field(description="within the last minute")
    time: float = Field(description="when it reported, by its clock")
    age_s: float = Field(description="how long ago that was heard")


class RouterModel(BaseModel):
    """What a router has of a model. Counters are since its start."""

    workers: list[str] = Field(description="that it may give requests to")
    inflight: int = Field(description="calls that run")
    admission_waiting: int = Field(description="calls that wait to be let through")
    calls: int = Field(description="counter of those that ended")
    failed: int = Field(description="counter of those of them that ended early")
    refused: int = Field(description="counter of calls that were not let in")
    decisions: int = Field(description="counter of choices of a worker")
    attempts: dict[str, int] = Field(description="counters, by what became of them at a worker")


class ClusterRouter(BaseModel):
    """A router."""

    router: str = Field(description="where other routers ask it")
    pid: int
    node: str
    models: dict[str, RouterModel]
    age_s: float


class Sums(BaseModel):
    """What workers have together."""

    workers: int
    ready: int = Field(description="workers that serve")
    running: int
    waiting: int
    queued_tokens: int
    pages_total: int
    pages_free: int
    pages_cached: int
    pages_used: int
    power_w: float | None = Field(description="of GPUs that tell it")


class ModelSums(Sums):
    """What a model has, and what is to come."""

    held: int = Field(description="requests that wait at routers")
    least: int | None = Field(description="workers that there are in any case; null: not known")
    starting: int = Field(description="workers that are ordered and not ready")
    starting_s: float | None = Field(description="since the first of those was ordered")
    start_s: float | None = Field(description="how long a start takes")


class ClusterView(BaseModel):
    """The body of /cluster."""

    time: float = Field(description="seconds since the epoch")
    workers: list[ClusterWorker]
    routers: list[ClusterRouter]
    requests: list[RunningRequest] = Field(description="those that run longest, that one first")
    models: dict[str, ModelSums] = Field(description="by name, those without workers too")
    cluster: Sums


MOST_REQUESTS = 64
ADDED = ("running", "waiting", "queued_tokens", "pages_total", "pages_free", "pages_cached")


def view_of(
    reports: Iterable[Report],
    routers: Iterable[tuple[RouterReport, float]],
    at: float,
    outlooks: Mapping[str, Outlook],
) -> ClusterView:
    """Of the workers that are there, and of the routers, with the ages of their reports.
    `outlooks`: by model, also of models that are served no more."""
    workers = [ClusterWorker.model_validate(report) for report in reports]
    routers = list(routers)
    longest = [one for report, _ in routers for one in report.longest]
    held = Counter[str]()
    for report, _ in routers:
        held.update(report.held)
    by_model: dict[str, list[ClusterWorker]] = {model: [] for model in held}
    for worker in workers:
        by_model.setdefault(worker.model, []).append(worker)
    return ClusterView(
        time=at,
        workers=workers,
        routers=[router_of(report, age_s) for report, age_s in routers],
        requests=sorted(longest, key=lambda one: -one.age_s)[:MOST_REQUESTS],
        models={
            model: model_of(those, held[model], outlooks.get(model), at)
            for model, those in sorted(by_model.items())
        },
        cluster=sums_of(workers),
    )


def router_of(report: RouterReport, age_s: float) -> ClusterRouter:
    """A router, as its report says."""
    models = {}
    for model, measures in report.measures.models.items():
        counters, gauges = measures.counters, measures.gauges
        models[model] = RouterModel(
            workers=report.workers.get(model, []),
            inflight=gauges[m.INFLIGHT],
            admission_waiting=gauges[m.WAITING],
            calls=sum(measures.histograms[m.E2E].counts),
            failed=sum(counters[m.FAILED].values()),
            refused=sum(counters[m.REFUSED].values()),
            decisions=sum(counters[m.DECISIONS].values()),
            attempts=counters[m.ATTEMPTS],
        )
    return ClusterRouter(
        router=report.router, pid=report.pid, node=report.node, models=models, age_s=round(age_s, 3)
    )


def model_of(
    workers: list[ClusterWorker], held: int, outlook: Outlook | None, at: float
) -> ModelSums:
    """A model with these workers, of which so many requests wait at routers."""
    ordered_at = None if outlook is None else outlook.ordered_at_s
    return ModelSums(
        **dict(sums_of(workers)),
        held=held,
        least=None if outlook is None else outlook.least,
        starting=0 if outlook is None else outlook.starting,
        starting_s=None if ordered_at is None else max(0.0, at - ordered_at),
        start_s=None if outlook is None else outlook.start_s,
    )


def sums_of(workers: list[ClusterWorker]) -> Sums:
    """What these have together."""
    added = {name: sum(getattr(worker.load, name) for worker in workers) for name in ADDED}
    used = added["pages_total"] - added["pages_free"] - added["pages_cached"]
    powers = [gpu.power_w for worker in workers for gpu in worker.gpus if gpu.power_w is not None]
    return Sums(
        workers=len(workers),
        ready=sum(worker.state == "ready" for worker in workers),
        pages_used=used,
        power_w=sum(powers) if powers else None,
        **added,
    )
