"""Measures the calls of a model in one router."""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from raylax.proto.calls.call import Call
from raylax.proto.calls.events import TextEvent
from raylax.proto.errors import RaylaxError
from raylax.router.observe import measures as m
from raylax.router.observe.measures import Exemplar, HistogramMeasures, ModelMeasures
from raylax.router.observe.timeline import Attempt, Timeline


class Histogram:
    """A histogram for one event loop. The library's own takes locks and walks through its buckets;
    there is an observation for each token.
    """

    def __init__(self, limits: Sequence[float]) -> None:
        self._limits, self._counts, self._sum = limits, [0] * (len(limits) + 1), 0.0
        self._exemplars: dict[int, Exemplar] = {}

    def observe(self, value: float, trace_id: str = "") -> None:
        """Count one value, of a call with this trace if it has one."""
        bucket = bisect_left(self._limits, value)
        self._counts[bucket] += 1
        self._sum += value
        if trace_id:
            self._exemplars[bucket] = Exemplar(trace_id, value, time.time())

    @property
    def measures(self) -> HistogramMeasures:
        """What it has counted so far."""
        return HistogramMeasures(
            counts=[*self._counts], sum=self._sum, exemplars={**self._exemplars}
        )


class CallMetrics:
    """Counters and histograms of the calls of one model, in one router process."""

    def __init__(self, policy: str = "") -> None:
        """`policy`: by which workers are chosen."""
        self._policy, self.inflight = policy, 0
        self.of = {name: Histogram(kind.limits) for name, kind in m.HISTOGRAMS.items()}
        self.counted: dict[str, Counter[str]] = {name: Counter() for name in m.COUNTERS}
        self.counted[m.FAILED][""] = 0

    def measures(self, waiting: int = 0) -> ModelMeasures:
        """All of it so far; `waiting`: calls that wait to be let through."""
        return ModelMeasures(
            histograms={name: one.measures for name, one in self.of.items()},
            counters={name: dict(counts) for name, counts in self.counted.items()},
            gauges={m.INFLIGHT: self.inflight, m.WAITING: waiting},
        )

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Counts a call that is not let in here."""
        try:
            yield
        except RaylaxError as error:
            self.counted[m.REFUSED][error.code or error.kind] += 1
            raise

    def begin(self, trace_id: str = "") -> "CallTimer":
        """Count a call that begins; returns what measures it. `trace_id`: of its trace, if somebody
        keeps that."""
        self.inflight += 1
        return CallTimer(self, time.monotonic(), trace_id)

    def ended(self, call: Call, timeline: Timeline, trace_id: str) -> None:
        """Count what has become of a call's requests."""
        of, attempts = self.of, dict[str, list[Attempt]]()
        for attempt in timeline.attempts:
            attempts.setdefault(attempt.request_id, []).append(attempt)
            self.counted[m.ATTEMPTS][str(attempt.outcome)] += attempt.outcome is not None
        self.counted[m.DECISIONS][self._policy] += len(timeline.decisions)
        of[m.ASKED_N].observe(len(call.requests))
        generated = [part.tokens for part in call.parts]
        of[m.MOST_GENERATED].observe(max(generated, default=0), trace_id)
        cached = [part.cached_tokens for part in call.parts]
        for request, tokens, found in zip(call.requests, generated, cached, strict=True):
            of[m.PROMPT].observe(len(request.prompt), trace_id)
            of[m.COMPUTED].observe(len(request.prompt) - found, trace_id)
            of[m.GENERATION].observe(tokens, trace_id)
            if not (request.embed or call.open_ended):
                of[m.ASKED_TOKENS].observe(request.max_tokens)
            self._phases(attempts.get(request.id, []), tokens, trace_id)

    def _phases(self, attempts: list[Attempt], tokens: int, trace_id: str) -> None:
        """How long a request was where. One that was moved began with its first worker."""
        began = next((one.began_s for one in attempts if one.began_s is not None), None)
        first = next((one.first_token_s for one in attempts if one.first_token_s is not None), None)
        ended = attempts[-1].to_s if attempts else None
        if began is None or ended is None:
            return
        of = self.of
        of[m.QUEUE].observe(began, trace_id)
        of[m.INFERENCE].observe(ended - began, trace_id)
        if first is not None:
            of[m.PREFILL].observe(max(0.0, first - began), trace_id)
            of[m.DECODE].observe(ended - first, trace_id)
            if tokens > 1:
                of[m.TPOT].observe((ended - first) / (tokens - 1), trace_id)


class CallTimer:
    """Measures one call, from its beginning to its end."""

    def __init__(self, metrics: CallMetrics, begun: float, trace_id: str) -> None:
        self._metrics, self._begun, self._trace_id = metrics, begun, trace_id
        self._ttft, self._itl = metrics.of[m.TTFT], metrics.of[m.ITL]
        self._last_at: dict[int, float] = {}  # by choice: when its last event came

    def admitted(self) -> None:
        """It has been let through to the workers."""
        waited = time.monotonic() - self._begun
        self._metrics.of[m.ADMISSION].observe(waited, self._trace_id)

    def events(self, events: Sequence[TextEvent]) -> None:
        """Count events that came together: between those of one choice there was no time."""
        now, last_at = time.monotonic(), self._last_at
        for event in events:
            last = last_at.get(event.choice)
            if last is None:
                self._ttft.observe(now - self._begun, self._trace_id)
            else:
                self._itl.observe(now - last, self._trace_id)
            last_at[event.choice] = now
            if event.finish_reason:
                self._metrics.counted[m.SUCCESS][event.finish_reason] += 1

    def end(self, call: Call, timeline: Timeline) -> None:
        """Count the call as ended: early if it is not done, or has failed."""
        self._metrics.inflight -= 1
        self._metrics.of[m.E2E].observe(time.monotonic() - self._begun, self._trace_id)
        if not call.done or call.error is not None:
            self._metrics.counted[m.FAILED][""] += 1
        self._metrics.ended(call, timeline, self._trace_id)
