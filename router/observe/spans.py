"""A call's timeline as spans of OpenTelemetry, by its conventions for generative AI.

    chat MODEL          the call, below its client's span; an event for each event of the timeline
    ├── queue           until it was let through to the workers
    └── attempt         a request with one worker, and what became of it; there may be several
        ├── engine.queue      until the engine began with it
        ├── engine.prefill    until its first token
        └── engine.decode     until its last one

They are made when the call has ended, so that they cost its tokens nothing. One that was refused
before it began is a single span, named by its protocol. Only
`raylax.router.observe.exporter` imports this module, where OpenTelemetry is wanted.
"""

import threading
import time
from collections.abc import Callable, Mapping

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)
from opentelemetry.util.types import Attributes, AttributeValue

from raylax.proto.errors import RaylaxError
from raylax.router.observe.phases import phases_of
from raylax.router.observe.telemetry import EndedCall, RefusedCall
from raylax.router.observe.timeline import Attempt, Outcome
from raylax.router.observe.trace_context import TraceContext

SERVICE = "raylax-router"
"""The router's name in spans, unless OTEL_SERVICE_NAME gives another."""
LAST_WORDS_S = 3.0
"""Time to send what is left when the router ends."""
At = Callable[[float], int]
"""The time of day, in nanoseconds, of so many seconds after a call's arrival."""


class SpanIds(RandomIdGenerator):
    """Draws ids, but for a span that was named to others before it is made: its ids are given."""

    def __init__(self) -> None:
        self.given: TraceContext | None = None

    def generate_trace_id(self) -> int:
        return self.given.trace_id if self.given else super().generate_trace_id()

    def generate_span_id(self) -> int:
        return self.given.span_id if self.given else super().generate_span_id()


class SpanRecorder:
    """Makes spans of calls. Used on one event loop; the processor sends them on a thread of its
    own."""

    def __init__(self, processor: SpanProcessor) -> None:
        self._ids = SpanIds()
        named = Resource({SERVICE_NAME: SERVICE}).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(
            resource=named, id_generator=self._ids, shutdown_on_exit=False
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("raylax.router")

    def samples(self, trace_id: int) -> bool:
        decision = self._provider.sampler.should_sample(None, trace_id, "").decision
        return decision is Decision.RECORD_AND_SAMPLE

    def record(self, ended: EndedCall) -> None:
        at = times_of(ended)
        name = f"{ended.call.operation} {ended.model}"
        call = self._server_span(ended.span, name, attributes_of(ended), at(0.0))
        if call.is_recording():
            below = set_span_in_context(call)
            self._queue(ended, below, at)
            for attempt in ended.timeline.attempts:
                self._attempt(attempt, below, at)
            for event in ended.timeline.events:
                detail = {"detail": event.detail} if event.detail else None
                call.add_event(event.name, detail, at(event.at_s))
        fail(call, ended.failure)
        call.end(at(ended.timeline.now_s))

    def refuse(self, refused: RefusedCall) -> None:
        now = time.time_ns()
        begun = now - round(refused.took_s * 1e9)
        span = self._server_span(refused.span, refused.name, refused.attributes, begun)
        span.set_attribute("error.type", refused.error_type)
        span.set_attribute("error.message", refused.message)
        if refused.our_fault:  # what a caller does wrong is no error of a server's span
            span.set_status(Status(StatusCode.ERROR, refused.message))
        span.end(now)

    def close(self) -> None:
        """Send what is left, for some seconds: by itself OpenTelemetry would try for half a minute
        to reach a collector that is gone."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(LAST_WORDS_S)

    def _server_span(
        self, ours: TraceContext, name: str, attributes: Attributes, start_time: int
    ) -> Span:
        """The span that the client, and perhaps workers, have been told of."""
        self._ids.given = ours
        try:
            return self._tracer.start_span(
                name, context_above(ours), SpanKind.SERVER, attributes, start_time=start_time
            )
        finally:
            self._ids.given = None

    def _queue(self, ended: EndedCall, below: Context, at: At) -> None:
        timeline = ended.timeline
        admitted = next((one.at_s for one in timeline.events if one.name == "admitted"), None)
        span = self._tracer.start_span("queue", below, start_time=at(0.0))
        if admitted is None:
            fail(span, ended.failure)
        span.end(at(timeline.now_s if admitted is None else admitted))

    def _attempt(self, attempt: Attempt, below: Context, at: At) -> None:
        attributes = {"raylax.worker": attempt.worker, "raylax.request": attempt.request_id}
        span = self._tracer.start_span(
            "attempt", below, SpanKind.CLIENT, attributes, start_time=at(attempt.from_s)
        )
        assert attempt.outcome is not None and attempt.to_s is not None, f"{attempt} has not ended"
        span.set_attribute("raylax.outcome", attempt.outcome)
        if attempt.outcome is Outcome.LOST:
            span.set_attribute("error.type", attempt.outcome)
            span.set_status(Status(StatusCode.ERROR, attempt.why))
        for phase in phases_of(attempt):
            inner = self._tracer.start_span(
                phase.name,
                set_span_in_context(span),
                attributes=phase.attributes,
                start_time=at(phase.from_s),
            )
            inner.end(at(phase.to_s))
        span.end(at(attempt.to_s))


def span_recorder() -> SpanRecorder:
    """A recorder that sends spans to where OpenTelemetry's environment variables say."""
    return SpanRecorder(BatchSpanProcessor(OTLPSpanExporter()))


def times_of(ended: EndedCall) -> At:
    """The time of day of what is on a call's timeline. That has a clock of its own: both are read
    now."""
    arrived_ns = time.time_ns() - round(ended.timeline.now_s * 1e9)
    return lambda seconds: arrived_ns + round(seconds * 1e9)


def context_above(span: TraceContext) -> Context:
    """The context below the client's span; that of a first span if the client sent none."""
    flags = TraceFlags(TraceFlags.SAMPLED if span.sampled else TraceFlags.DEFAULT)
    state = TraceState.from_header([span.state])
    parent = SpanContext(span.trace_id, span.parent_id, True, flags, state)
    return set_span_in_context(NonRecordingSpan(parent), Context())


def attributes_of(ended: EndedCall) -> Mapping[str, AttributeValue]:
    """What the conventions for generative AI want to know of a call."""
    call, usage = ended.call, ended.call.usage
    attributes: dict[str, AttributeValue] = {
        "gen_ai.operation.name": call.operation,
        "gen_ai.provider.name": "raylax",
        "gen_ai.request.model": ended.model,
        "gen_ai.request.choice.count": len(call.parts),
        "gen_ai.response.id": call.id,
        "gen_ai.response.model": ended.model,
        "gen_ai.response.finish_reasons": [part.finish_reason or "" for part in call.parts],
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.prompt_tokens_details.cached_tokens,
    }
    if tenant := call.requests[0].tenant:
        attributes["raylax.tenant"] = tenant
    return attributes


def fail(span: Span, failure: BaseException | None) -> None:
    """A client that leaves is no error. What an error that is none of ours says is left out: it may
    be of a prompt."""
    if isinstance(failure, Exception):
        kind = failure.code or failure.kind if isinstance(failure, RaylaxError) else None
        span.set_attribute("error.type", kind or type(failure).__qualname__)
        said = failure.rule if isinstance(failure, RaylaxError) else None
        span.set_status(Status(StatusCode.ERROR, said))
