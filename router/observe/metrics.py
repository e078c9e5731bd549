"""What this router measures of its calls, for /metrics: vLLM's names where they mean the same."""

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector

from raylax.proto.calls.call import Call
from raylax.proto.calls.events import TextEvent

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Seconds(Collector):
    """A histogram of one event loop. The library's own takes locks and walks through its buckets;
    there is an observation for each token.
    """

    def __init__(self, name: str, text: str, model: str) -> None:
        self._name, self._text, self._model = name, text, model
        self._counts = [0] * (len(SECONDS) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(SECONDS, seconds)] += 1
        self._sum += seconds

    def collect(self) -> Iterator[HistogramMetricFamily]:
        limits = [*(str(float(limit)) for limit in SECONDS), "+Inf"]
        buckets = list(zip(limits, accumulate(self._counts), strict=True))
        family = HistogramMetricFamily(self._name, self._text, labels=["model_name"])
        family.add_metric([self._model], buckets, self._sum)
        yield family


class Meter:
    """Counters and histograms of one router process."""

    def __init__(self, model: str) -> None:
        self.registry = CollectorRegistry()

        def histogram(name: str, text: str) -> Seconds:
            self.registry.register(made := Seconds(name, text, model))
            return made

        self.ttft = histogram("vllm:time_to_first_token_seconds", "From arrival to first token")
        self.itl = histogram("vllm:inter_token_latency_seconds", "Between pieces of a stream")
        self.e2e = histogram("vllm:e2e_request_latency_seconds", "From arrival to the end")
        ended = Counter(
            "vllm:request_success",
            "Choices that ended, by reason",
            ["model_name", "finished_reason"],
            registry=self.registry,
        )
        failed = Counter(
            "raylax_calls_failed", "Calls that ended early", ["model_name"], registry=self.registry
        )
        inflight = Gauge(
            "raylax_calls_inflight", "Calls running now", ["model_name"], registry=self.registry
        )
        self.failed, self.inflight = failed.labels(model), inflight.labels(model)
        self._ended, self._model = ended, model

    def begin(self) -> "Measured":
        self.inflight.inc()
        return Measured(self, time.monotonic())

    def ended(self, reason: str) -> None:
        self._ended.labels(self._model, reason).inc()

    def exposition(self) -> bytes:
        return generate_latest(self.registry)


class Measured:
    """One call's times."""

    def __init__(self, meter: Meter, begun: float) -> None:
        self._meter, self._begun = meter, begun
        self._heard: dict[int, float] = {}  # by choice: when its last event came

    def events(self, events: Sequence[TextEvent]) -> None:
        """That came together: between those of one choice there was no time."""
        now, heard = time.monotonic(), self._heard
        for event in events:
            last = heard.get(event.choice)
            if last is None:
                self._meter.ttft.observe(now - self._begun)
            else:
                self._meter.itl.observe(now - last)
            heard[event.choice] = now
            if event.finish_reason:
                self._meter.ended(event.finish_reason)

    def end(self, call: Call) -> None:
        self._meter.inflight.dec()
        self._meter.e2e.observe(time.monotonic() - self._begun)
        if not call.done or call.error is not None:
            self._meter.failed.inc()
