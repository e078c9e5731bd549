"""What happened to a call: its events, and why each of its requests went where it did.

Routers tell it to each other and to clients. It travels as a message of raylax.v1, which is made
and read here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from raylax.proto.pb import raylax_pb2 as pb


@dataclass(frozen=True, slots=True)
class Candidate:
    """A worker that a request might have gone to."""

    worker: str
    age_s: float
    """Seconds since it was last heard from, when the decision was made."""
    terms: Mapping[str, float]
    """What the candidates were compared by."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a request went to a worker. `candidates` are the best ones, in their order."""

    request_id: str
    policy: str
    chosen: str
    reason: str
    runner_up: str
    """The best of the others; empty if there was none."""
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """Something that happened to a call."""

    at_s: float
    """Seconds since the call's arrival."""
    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class TimelineSnapshot:
    """What has happened to a call so far, and every decision about it: a call may have several
    requests, and each may move."""

    call_id: str
    events: tuple[TimelineEvent, ...]
    explanations: tuple[Explanation, ...]

    @property
    def for_tenants(self) -> "TimelineSnapshot":
        """Without the reasons of what went wrong inside of workers, which follow a colon: they name
        processes, hosts and addresses."""
        events = tuple(replace(one, detail=one.detail.partition(": ")[0]) for one in self.events)
        return replace(self, events=events)


def explanation_to_proto(explanation: Explanation) -> pb.Explanation:
    return pb.Explanation(
        request_id=explanation.request_id,
        policy=explanation.policy,
        chosen=explanation.chosen,
        reason=explanation.reason,
        runner_up=explanation.runner_up,
        candidates=[
            pb.Explanation.Candidate(worker=one.worker, age_s=one.age_s, terms=one.terms)
            for one in explanation.candidates
        ],
    )


def explanation_from_proto(message: pb.Explanation) -> Explanation:
    return Explanation(
        request_id=message.request_id,
        policy=message.policy,
        chosen=message.chosen,
        reason=message.reason,
        runner_up=message.runner_up,
        candidates=tuple(
            Candidate(one.worker, one.age_s, dict(one.terms)) for one in message.candidates
        ),
    )


def timeline_to_proto(timeline: TimelineSnapshot) -> pb.ExplainReply:
    """The reply to a client, which knows the call's id."""
    return pb.ExplainReply(
        explanations=[explanation_to_proto(one) for one in timeline.explanations],
        events=[
            pb.ExplainReply.Event(at_s=one.at_s, name=one.name, detail=one.detail)
            for one in timeline.events
        ],
    )


def timeline_from_proto(message: pb.ExplainReply, call_id: str) -> TimelineSnapshot:
    return TimelineSnapshot(
        call_id,
        tuple(TimelineEvent(one.at_s, one.name, one.detail) for one in message.events),
        tuple(map(explanation_from_proto, message.explanations)),
    )
