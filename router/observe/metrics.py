"""What routers measure of their calls, for /metrics: vLLM's names where they mean the same."""

import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from raylax.proto.calls.call import Call
from raylax.proto.calls.events import TextEvent

SampleKey = tuple[str, tuple[tuple[str, str], ...]]
"""The name of a series, and its labels."""
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class FastHistogram(Collector):
    """A histogram for one event loop. The library's own takes locks and walks through its buckets;
    there is an observation for each token.
    """

    def __init__(self, name: str, text: str, model: str) -> None:
        self._name, self._text, self._model = name, text, model
        self._counts = [0] * (len(BUCKETS_S) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one time."""
        self._counts[bisect_left(BUCKETS_S, seconds)] += 1
        self._sum += seconds

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """What Prometheus' registry asks for: the buckets so far."""
        limits = [*(str(float(limit)) for limit in BUCKETS_S), "+Inf"]
        buckets = list(zip(limits, accumulate(self._counts), strict=True))
        family = HistogramMetricFamily(self._name, self._text, labels=["model_name"])
        family.add_metric([self._model], buckets, self._sum)
        yield family


class CallMetrics:
    """Counters and histograms of the calls of one model, in one router process."""

    def __init__(self, model: str) -> None:
        self.registry = CollectorRegistry()

        def histogram(name: str, text: str) -> FastHistogram:
            self.registry.register(made := FastHistogram(name, text, model))
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

    def begin(self) -> "CallTimer":
        """Count a call that begins; returns what measures it."""
        self.inflight.inc()
        return CallTimer(self, time.monotonic())

    def ended(self, reason: str) -> None:
        """Count a choice that has ended, by its finish reason."""
        self._ended.labels(self._model, reason).inc()


class Together(Collector):
    """Metrics of several models: families of one name are one, which is described once."""

    def __init__(self, metrics: Iterable[CallMetrics]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """What Prometheus' registry asks for."""
        families: dict[str, Metric] = {}
        for metrics in self._metrics:
            for family in metrics.registry.collect():
                if (first := families.setdefault(family.name, family)) is not family:
                    first.samples += family.samples
        return families.values()


def exposition(metrics: Iterable[CallMetrics]) -> bytes:
    """All of it, of each model, in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Together(metrics))
    return generate_latest(registry)


def added_up(expositions: Sequence[bytes]) -> bytes:
    """Those of several routers as one: all that a router measures can be added. Of the times at
    which counters began it is the first one."""
    families: dict[str, Metric] = {}
    values: dict[SampleKey, float] = {}
    for text in expositions:
        for family in text_string_to_metric_families(text.decode()):
            first = families.setdefault(family.name, family)
            for sample in family.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                if key not in values:
                    values[key] = sample.value
                    if first is not family:
                        first.samples.append(sample)
                elif sample.name.endswith("_created"):
                    values[key] = min(values[key], sample.value)
                else:
                    values[key] += sample.value
    for family in families.values():
        family.samples = [
            sample._replace(value=values[sample.name, tuple(sorted(sample.labels.items()))])
            for sample in family.samples
        ]
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Summed(list(families.values())))
    return generate_latest(registry)


class Summed(Collector):
    """Families as they are."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """What Prometheus' registry asks for."""
        return self._families


class CallTimer:
    """Measures one call, from its beginning to its end."""

    def __init__(self, metrics: CallMetrics, begun: float) -> None:
        self._metrics, self._begun = metrics, begun
        self._last_at: dict[int, float] = {}  # by choice: when its last event came

    def events(self, events: Sequence[TextEvent]) -> None:
        """Count events that came together: between those of one choice there was no time."""
        now, last_at = time.monotonic(), self._last_at
        for event in events:
            last = last_at.get(event.choice)
            if last is None:
                self._metrics.ttft.observe(now - self._begun)
            else:
                self._metrics.itl.observe(now - last)
            last_at[event.choice] = now
            if event.finish_reason:
                self._metrics.ended(event.finish_reason)

    def end(self, call: Call) -> None:
        """Count the call as ended: early if it is not done, or has failed."""
        self._metrics.inflight.dec()
        self._metrics.e2e.observe(time.monotonic() - self._begun)
        if not call.done or call.error is not None:
            self._metrics.failed.inc()
