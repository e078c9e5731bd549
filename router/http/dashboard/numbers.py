"""What a router knows of its models, their workers and their calls, as JSON has it.

It is read once a second by each router that somebody watches, and changes nothing.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any

from pydantic_core import to_json

from raylax.proto.vocabulary import Load, Priority
from raylax.router.calls.models import Models
from raylax.router.calls.service import Service
from raylax.router.observe.measures import BUCKETS_S, ITL, TTFT
from raylax.router.observe.timeline import Attempt, Timeline

MOST_CALLS, MOST_ENDED = 50, 20
"""Told of calls that run: those that do so for the longest time; and of those that have ended: the
last ones."""
MOST_ATTEMPTS = 8
"""Told of one call: the last ones."""
MOST_ROWS = 50
"""Of the queue: tenants and classes with most requests."""
DRAWN = {"ttft": TTFT, "itl": ITL}
Numbers = dict[str, Any]


def router_numbers(models: Models) -> Numbers:
    """All of it: of this router's calls, and of its workers as it sees them."""
    state, timelines = models.state, models.state.timelines.all
    return {
        "router": models.peers.address,
        "at": time.time(),
        "silent": False,
        "running": sum(one.ended_s is None for one in timelines),
        "places": len(state.places),
        "most_places": models.config.limits.max_inflight,
        "buckets_s": BUCKETS_S,
        "models": {service.name: model_numbers(service) for service in models.services},
        "calls": list(calls(models)),
    }


def own_numbers(models: Models) -> bytes:
    """The same in JSON, for another router, whose page shows it."""
    return to_json(router_numbers(models), inf_nan_mode="null")


def silent_numbers(router: str) -> Numbers:
    """In the same form, of a router that has not answered."""
    return {
        "router": router,
        "at": time.time(),
        "silent": True,
        "running": 0,
        "places": None,
        "most_places": None,
        "models": {},
        "calls": [],
    }


def model_numbers(service: Service) -> Numbers:
    """Of one model. Histograms are told as counts since the start, in each of BUCKETS_S and above:
    who watches has the last seconds by the difference of two."""
    now, ready = service.state.clock(), set(service.workers.ready)
    histograms = service.metrics.measures().histograms
    return {
        **{name: histograms[whole].counts for name, whole in DRAWN.items()},
        "queue": queue(service),
        "workers": {
            worker: {**load_numbers(load), "ready": worker in ready}
            for worker, load in service.workers.loads.items()
        },
        "losses": [
            {
                "id": f"{one.worker} {one.at:.3f}",
                "worker": one.worker,
                "why": one.why,
                "drained": one.drained,
                "ago_s": round(now - one.at, 3),
            }
            for one in service.workers.losses
        ],
    }


def load_numbers(load: Load) -> Numbers:
    """A worker's load, as /cluster has it."""
    return {**asdict(load), "kv_usage": load.kv_usage}


def queue(service: Service) -> list[Numbers]:
    """By tenant and class, those with most of it first: calls and requests that are `held` in this
    router, requests that were `sent` and have no token yet, and those whose answers are
    `running`."""
    held, sent, run = Counter[tuple[str, Priority]](), Counter[Any](), Counter[Any]()
    for call in service.admission.waiting:
        held[call.tenant, call.priority] += 1
    for entry in service.journal.entries:
        where = held if not entry.workers else run if entry.emitted else sent
        where[entry.request.tenant, entry.request.priority] += 1
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
    """Those that run, the oldest first, then the last ones that have ended."""
    oldest = models.state.timelines.all
    running = (one for one in oldest if one.ended_s is None)
    ended = (one for one in reversed(oldest) if one.ended_s is not None)
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


def calls_of(routers: Iterable[Numbers]) -> list[Numbers]:
    """The calls of all of them, with their routers' names and when they came, in the same order as
    one's."""
    every = [
        {**call, "router": one["router"], "arrived_at": round(one["at"] - call["now_s"], 3)}
        for one in routers
        for call in one["calls"]
    ]
    running = [call for call in every if call["ended_s"] is None]
    ended = [call for call in every if call["ended_s"] is not None]
    running.sort(key=lambda call: call["arrived_at"])
    ended.sort(key=lambda call: -(call["arrived_at"] + call["ended_s"]))
    return [*running[:MOST_CALLS], *ended[:MOST_ENDED]]


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
