"""What a router knows of its models, their workers and their calls, as JSON has it.

It is read once a second, whoever watches, and changes nothing.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any

from raylax.proto.vocabulary import Load, Priority
from raylax.router.calls.models import Models
from raylax.router.calls.service import Service
from raylax.router.observe.measures import (
    BUCKETS_S,
    INFLIGHT,
    ITL,
    TTFT,
    ModelMeasures,
    RouterMeasures,
)
from raylax.router.observe.timeline import Attempt, Timeline

MOST_CALLS, MOST_ENDED = 50, 20
"""Told of calls that run, and of those that have ended: the newest ones."""
MOST_ATTEMPTS = 8
"""Told of one call: the last ones."""
MOST_ROWS = 50
"""Of the queue: tenants and classes with most requests."""
DRAWN = {"ttft": TTFT, "itl": ITL}
Numbers = dict[str, Any]


def router_numbers(models: Models) -> Numbers:
    """All of it: of this router's calls, and of its workers as it sees them."""
    state = models.state
    return {
        "router": models.peers.address,
        "places": len(state.places),
        "most_places": models.config.limits.max_inflight,
        "buckets_s": BUCKETS_S,
        "models": {service.name: model_numbers(service) for service in models.services},
        "calls": list(calls(models)),
    }


def model_numbers(service: Service) -> Numbers:
    """Of one model. Histograms are told as counts since the start, in each of BUCKETS_S and above:
    who watches has the last seconds by the difference of two."""
    now, ready = service.state.clock(), set(service.workers.ready)
    return {
        **latencies(service.metrics.measures()),
        "queue": queue(service),
        "workers": {
            worker: {**load_numbers(load), "ready": worker in ready}
            for worker, load in service.workers.loads.items()
        },
        "losses": [
            {
                "worker": one.worker,
                "why": one.why,
                "drained": one.drained,
                "ago_s": round(now - one.at, 3),
            }
            for one in service.workers.losses
        ],
    }


def latencies(measures: ModelMeasures) -> Numbers:
    """The histograms that the page draws."""
    return {name: measures.histograms[whole].counts for name, whole in DRAWN.items()}


def others_numbers(measures: RouterMeasures) -> Numbers:
    """What another router tells this one, in the form of `router_numbers`."""
    models = {
        name: {**latencies(one), "queue": [], "workers": {}, "losses": []}
        for name, one in measures.models.items()
    }
    inflight = sum(one.gauges.get(INFLIGHT, 0) for one in measures.models.values())
    return {"router": measures.router, "places": inflight, "models": models, "calls": []}


def load_numbers(load: Load) -> Numbers:
    """A worker's load, as /cluster has it."""
    return {**asdict(load), "kv_usage": load.kv_usage}


def queue(service: Service) -> list[Numbers]:
    """By tenant and class, those with most of it first: calls that are `held` in this router,
    requests that were `sent` and have no token yet, and those whose answers `run`."""
    held, sent, run = Counter[tuple[str, Priority]](), Counter[Any](), Counter[Any]()
    for call in service.admission.waiting:
        held[call.tenant, call.priority] += 1
    for entry in service.journal.entries:
        request = entry.request
        (run if entry.emitted else sent)[request.tenant, request.priority] += 1
    total = held + sent + run
    return [
        {
            "tenant": tenant,
            "class": priority.name.lower(),
            "held": held[tenant, priority],
            "sent": sent[tenant, priority],
            "running": run[tenant, priority],
        }
        for (tenant, priority), _ in total.most_common(MOST_ROWS)
    ]


def calls(models: Models) -> Iterator[Numbers]:
    """Those that run, the newest first, then the last ones that have ended."""
    newest = list(reversed(models.state.timelines.all))
    running = (one for one in newest if one.ended_s is None)
    ended = (one for one in newest if one.ended_s is not None)
    tokens = Counter[int]()
    for service in models.services:
        for entry in service.journal.entries:
            tokens[id(entry.timeline)] += len(entry.emitted)
    for timeline in islice(running, MOST_CALLS):
        yield call_numbers(timeline, tokens[id(timeline)])
    for timeline in islice(ended, MOST_ENDED):
        yield call_numbers(timeline, sum(one.generated_tokens for one in timeline.attempts))


def call_numbers(timeline: Timeline, tokens: int) -> Numbers:
    """A call; times are seconds since its arrival, and null where that has not come."""
    return {
        "id": timeline.call_id,
        "model": timeline.model,
        "tenant": timeline.tenant,
        "requests": timeline.sequences,
        "tokens": tokens,
        "now_s": timeline.now_s,
        "ended_s": timeline.ended_s,
        "attempts": [attempt_numbers(one) for one in timeline.attempts[-MOST_ATTEMPTS:]],
    }


def elsewhere(requests: Iterable[Numbers], models: Models) -> list[Numbers]:
    """The calls of other routers, of which Metrics knows the `requests` that run longest: how far
    they have come, and not when. /explain knows more."""
    ours = {timeline.call_id for timeline in models.state.timelines.all}
    found = ((one["request_id"].partition("/")[0], one) for one in requests)
    return [
        {
            "id": call_id,
            "model": one["model"],
            "tenant": one["tenant"],
            "requests": 1,
            "tokens": one["generated_tokens"],
            "now_s": one["age_s"],
            "ended_s": None,
            "phase": one["phase"],
            "workers": one["workers"],
            "attempts": [],
        }
        for call_id, one in found
        if call_id not in ours
    ][:MOST_CALLS]


def attempt_numbers(attempt: Attempt) -> Numbers:
    """A request with one worker."""
    return {
        "worker": attempt.worker,
        "from_s": attempt.from_s,
        "began_s": attempt.began_s,
        "first_s": attempt.first_token_s,
        "to_s": attempt.to_s,
        "outcome": attempt.outcome,
        "prompt_tokens": attempt.known_tokens,
        "cached_tokens": attempt.cached_tokens,
        "drafted_tokens": attempt.drafted_tokens,
        "accepted_tokens": attempt.accepted_tokens,
    }
