"""The calls of a router as a process of a trace: what their timelines know, which are kept
anyway."""

from collections.abc import Iterable, Iterator

from raylax.proto.event_trace import LEAST_US, Event, ProcessTrace, mark, span
from raylax.router.observe.phases import phases_of
from raylax.router.observe.timeline import Timeline

CALL, ATTEMPT = "call", "attempt"
ENDS = ("ended", "ended early")


def router_trace(name: str, timelines: Iterable[Timeline], now: float, most: int) -> ProcessTrace:
    """Of these calls. `now`: what the router's monotonic clock says; `most`: how many calls it
    remembers."""
    events = [event for one in timelines for event in call_events(one, now)]
    return ProcessTrace.of_this_process(name, events, most=most)


def call_events(timeline: Timeline, now: float) -> Iterator[Event]:
    """A call, what happened to it, and its attempts, which overlap where it has several."""
    arrived, happened = timeline.arrived, timeline.events
    end = next((one for one in happened if one.name in ENDS), None)
    ended = None if end is None else arrived + end.at_s
    said = {"requests": timeline.sequences, "tenant": timeline.tenant}
    outcome = {} if end is None else {"outcome": end.name}
    yield from span(timeline.call_id, CALL, timeline.call_id, arrived, ended, {**said, **outcome})
    for event in happened:
        if event.name not in ENDS:
            at = min(arrived + event.at_s, (now if ended is None else ended) - LEAST_US * 1e-6)
            detail = {"detail": event.detail} if event.detail else None
            yield mark(event.name, CALL, timeline.call_id, max(arrived, at), detail)
    for number, attempt in enumerate(timeline.attempts):
        id = f"{attempt.request_id} at {attempt.worker}, {number}"
        left = None if attempt.to_s is None else arrived + attempt.to_s
        became = {} if attempt.outcome is None else {"outcome": str(attempt.outcome)}
        why = {"why": attempt.why} if attempt.why else {}
        about = {"call": timeline.call_id, "worker": attempt.worker, **became, **why}
        yield from span(id, ATTEMPT, id, arrived + attempt.from_s, left, about)
        if left is not None:
            for phase in phases_of(attempt):
                begin, until = arrived + phase.from_s, arrived + phase.to_s
                if until > begin:
                    yield from span(phase.name, ATTEMPT, id, begin, until, phase.attributes)
