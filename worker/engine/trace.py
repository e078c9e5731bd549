"""What an engine does, in events with a beginning and an end: of its thread, and of each request.

They are kept as plain tuples, the last of them, and become what a file has when somebody asks.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as Several
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from raylax.proto.event_trace import (
    Event,
    ProcessTrace,
    chrome_file,
    complete,
    instant,
    mark,
    span,
)
from raylax.proto.vocabulary import Delta, Request
from raylax.worker.event_ring import MOST_EVENTS, EventRing
from raylax.worker.ranks.rank_trace import RankTrace
from raylax.worker.sampling.draws import DrawResult
from raylax.worker.scheduling.flight import Flight
from raylax.worker.scheduling.sequence import PREFILL, Sequence

ENGINE, RANK = 1, 2
"""Lanes of the process, as `tid`: the engine thread, and the rank that runs on it."""
REQUEST = "request"
QUEUE, FETCH = "queue", "fetch pages"


@dataclass(slots=True)
class LiveRequest:
    """One that has not ended."""

    request: Request
    begun: float
    waits: str
    """What it does, while no step does anything for it; empty once it runs."""
    since: float
    cached_tokens: int = 0
    generated: int = 0


class TraceRecorder:
    """A `StepTrace` that keeps what it hears. The engine thread adds, any may look. An engine has
    none unless it is made with tracing."""

    def __init__(
        self,
        name: str = "engine",
        most: int = MOST_EVENTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`name`: of its process; `most`: how many events are kept."""
        self.name, self._clock = name, clock
        self.rank: RankTrace | None = None
        """What the rank in this process has run, since the model was loaded."""
        self.other_ranks: Callable[[], list[ProcessTrace]] = list
        """What those in other processes have run."""
        self.most = most
        self._ring, self._live = EventRing(most), dict[str, LiveRequest]()
        self._begun = self._part_begun = self._decided = 0.0
        """Of this step: when it began, and its part, and when it was decided."""
        self._evicted = 0

    # What requests do

    def added(self, one: Sequence, at: float) -> None:
        """It was asked for at that time."""
        request, waits = one.request, FETCH if one.needs else QUEUE
        self._live[request.id] = LiveRequest(request, at, waits, at)

    def ready(self, request_id: str) -> None:
        """It waits for nothing but its turn."""
        if (live := self._live.get(request_id)) is not None and live.waits == FETCH:
            self._wait(live, QUEUE)

    def admitted(self, one: Sequence) -> None:
        if (live := self._live.get(one.request.id)) is not None:
            live.cached_tokens = live.cached_tokens or one.computed
            self._wait(live, "", {"cached_tokens": one.computed})

    def preempted(self, one: Sequence) -> None:
        if (live := self._live.get(one.request.id)) is not None:
            had = {"computed_tokens": one.computed, "pages": len(one.held)}
            self._ring.add(("happened", live.request.id, "preempted", self._clock(), had))
            self._wait(live, QUEUE)

    def heard(self, deltas: Several[Delta]) -> None:
        """What a step, or a command, came to."""
        for delta in deltas:
            if (live := self._live.get(delta.request_id)) is None:
                continue
            live.generated += len(delta.token_ids)
            if delta.finish is not None:
                del self._live[delta.request_id]
                self._wait(live, "")
                self._ring.add(("lived", live, self._clock(), delta))

    def _wait(self, live: LiveRequest, waits: str, args: Mapping[str, Any] | None = None) -> None:
        """What it waited for is over, and it waits for this, or for nothing."""
        now = self._clock()
        if live.waits:
            self._ring.add(("waited", live.request.id, live.waits, live.since, now, args))
        live.waits, live.since = waits, now

    # What the engine thread does

    @contextmanager
    def doing(self, name: str, **args: Any) -> Iterator[dict[str, Any]]:
        """The engine thread does this inside; what it comes to can be added to the dict."""
        begun = self._clock()
        try:
            yield args
        finally:
            self._ring.add(("of_thread", name, begun, self._clock(), args))

    def begin(self) -> None:
        self._begun = self._part_begun = self._decided = self._clock()

    def mark(self, part: str) -> None:
        begun, self._part_begun = self._part_begun, self._clock()
        self._ring.add(("of_thread", part, begun, self._part_begun, None))
        if part == "decide":
            self._decided = self._part_begun

    def drew(self, flight: Flight, drawn: Mapping[str, Several[DrawResult]]) -> None:
        self.mark("draw")
        number, add = flight.plan.number, self._ring.add
        begun, now = self._decided, self._part_begun
        branched = Counter[str]()
        for branch in flight.branches:
            branched[branch.one.request.id] += len(branch.draft)
        for one, count, wanted in flight.batch:
            id, at = one.request.id, one.computed
            if drafted := max(0, wanted - 1) + (branched[id] if branched else 0):
                right = len(drawn[id]) - 1
                add(("verified", id, begun, now, number, count, at, drafted, right))
            else:
                name = "prefill" if one.phase is PREFILL else "decode"
                add(("computed", id, name, begun, now, number, count, at))

    def committed(self, flight: Flight, evicted: int) -> None:
        self.mark("commit")
        now, number = self._part_begun, flight.plan.number
        self._ring.add(("step", self._begun, now, number, flight.work, len(flight.batch)))
        if evicted > self._evicted:
            self._ring.add(("evict", now, evicted - self._evicted))
        self._evicted = evicted  # of another model there are fewer

    # Who wants to see it

    def processes(self) -> list[ProcessTrace]:
        """What each process of the engine has recorded, this one first. While the engine serves,
        the other ones are asked between two steps."""
        events = [event for kind, *facts in self._ring.events for event in MAKES[kind](*facts)]
        for live in list(self._live.values()):
            events += lived(live, None, None)
            if live.waits:
                events += waited(live.request.id, live.waits, live.since, None, None)
        lanes = {str(ENGINE): "engine thread"}
        if (rank := self.rank) is not None:
            events += rank.events(RANK)
            lanes[str(RANK)] = "rank 0"
        dropped = self._ring.dropped + (0 if rank is None else rank.dropped)
        ours = ProcessTrace.of_this_process(self.name, events, lanes, dropped, self.most)
        return [ours, *self.other_ranks()]

    def dump_json(self) -> str:
        """All of it as a file in the Trace Event Format, which Chrome and Perfetto read."""
        return chrome_file(self.processes()).decode()


# From what is kept to events: a tuple of plain values, which the collector does not visit again


def of_thread(
    name: str, begun: float, ended: float, args: Mapping[str, Any] | None
) -> Iterator[Event]:
    yield complete(name, ENGINE, begun, ended, args)


def step(
    begun: float, ended: float, number: int, work: tuple[int, int, int], sequences: int
) -> Iterator[Event]:
    prefill, decoding, context = work
    said = {"step": number, "sequences": sequences, "prefill_tokens": prefill}
    rows = {"decode_rows": decoding, "context_tokens": context}
    yield complete("step", ENGINE, begun, ended, {**said, **rows})


def evict(at: float, pages: int) -> Iterator[Event]:
    yield instant("evict", ENGINE, at, {"pages": pages})


def computed(
    request_id: str, name: str, begun: float, ended: float, number: int, count: int, at: int
) -> Iterator[Event]:
    args = {"step": number, "tokens": count, "position": at}
    yield from span(name, REQUEST, request_id, begun, ended, args)


def verified(
    request_id: str, begun: float, ended: float, number: int, count: int, at: int,
    drafted: int, right: int,
) -> Iterator[Event]:  # fmt: skip
    args = {"step": number, "tokens": count, "position": at, "drafted": drafted, "accepted": right}
    yield from span("verify", REQUEST, request_id, begun, ended, args)


def waited(
    request_id: str, name: str, begun: float, ended: float | None, args: Mapping[str, Any] | None
) -> Iterator[Event]:
    yield from span(name, REQUEST, request_id, begun, ended, args)


def happened(request_id: str, name: str, at: float, args: Mapping[str, Any]) -> Iterator[Event]:
    yield mark(name, REQUEST, request_id, at, args)


def lived(live: LiveRequest, ended: float | None, end: Delta | None) -> Iterator[Event]:
    """A request from its beginning to its end, which may be to come."""
    request = live.request
    args: dict[str, Any] = {
        "prompt_tokens": len(request.prompt),
        "history_tokens": len(request.history),
        "cached_tokens": live.cached_tokens,
        "generated_tokens": live.generated,
    }
    if request.traceparent:
        args["trace_id"] = trace_id(request.traceparent)
    if end is not None:
        drafts = {"drafts": end.drafts, "drafted": end.drafted, "accepted": end.accepted}
        args |= {"finish": str(end.finish), **(drafts if end.drafts else {})}
    yield from span(request.id, REQUEST, request.id, live.begun, ended, args)


def trace_id(traceparent: str) -> str:
    """The trace's id in a W3C trace context: behind the two digits of its version."""
    return traceparent[3:35]


KINDS = (of_thread, step, evict, computed, verified, waited, happened, lived)
MAKES: dict[str, Callable[..., Iterator[Event]]] = {make.__name__: make for make in KINDS}
"""By what a tuple begins with."""
