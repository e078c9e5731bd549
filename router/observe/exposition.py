"""What routers have measured, as Prometheus reads it."""

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import NamedTuple

import prometheus_client as text
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    Exemplar,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    Timestamp,
)
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from raylax.proto.openai.batches.batch import ENDED
from raylax.router.observe.measures import (
    BATCH_REQUESTS,
    BATCHES,
    BATCHES_ENDED,
    COUNTERS,
    GAUGES,
    HISTOGRAMS,
    BatchMeasures,
    HistogramMeasures,
    RouterMeasures,
)

END = b"# EOF\n"
"""Of a text of OpenMetrics."""
LABELS = ["model_name"]
OUTCOMES = ("completed", "failed")


class Families(Collector):
    """Some families, as they are."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> list[Metric]:
        """What Prometheus' registry asks for."""
        return self._families


class Format(NamedTuple):
    """How a text is written."""

    is_openmetrics: bool = False
    """Then it has exemplars."""

    @property
    def media_type(self) -> str:
        if self.is_openmetrics:
            return openmetrics.CONTENT_TYPE_LATEST
        return "text/plain; version=0.0.4; charset=utf-8"

    def written(self, families: Iterable[Metric]) -> bytes:
        """Families as text; one of OpenMetrics lacks its END, so that another can follow."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Families(families))
        if not self.is_openmetrics:
            return text.generate_latest(registry)
        # its default would write a name with a colon once as it is, and once with an underscore
        write: Callable[[CollectorRegistry, str], bytes] = openmetrics.generate_latest
        return write(registry, openmetrics.ALLOWUTF8).removesuffix(END)

    @property
    def end(self) -> bytes:
        """What stands below all."""
        return END if self.is_openmetrics else b""


PLAIN = Format()


def format_of(accept: str) -> Format:
    """What a header `Accept` asks for: OpenMetrics where it is named, and not refused."""
    for part in accept.split(","):
        kind, *parameters = (one.strip().lower() for one in part.split(";"))
        if kind == "application/openmetrics-text":
            return Format(is_openmetrics=not any(is_zero(one) for one in parameters))
    return PLAIN


def is_zero(parameter: str) -> bool:
    """Whether it is a weight that says: not this."""
    name, _, value = parameter.partition("=")
    return name == "q" and not value.strip("0.")


def families(measures: RouterMeasures) -> Iterator[Metric]:
    """Of each name one family, with the label `model_name` but for those of batches."""
    models = measures.models.items()
    for name, kind in HISTOGRAMS.items():
        histogram = HistogramMetricFamily(name, kind.text, labels=LABELS)
        for model, measured in models:
            one = measured.histograms[name]
            histogram.add_metric([model], [*buckets_of(one, kind.limits)], one.sum)
        yield histogram
    for name, (said, label) in COUNTERS.items():
        counter = CounterMetricFamily(name, said, labels=[*LABELS, label] if label else LABELS)
        for model, measured in models:
            for value, count in measured.counters[name].items():
                counter.add_metric([model, value] if label else [model], count)
        yield counter
    for name, said in GAUGES.items():
        gauge = GaugeMetricFamily(name, said, labels=LABELS)
        for model, measured in models:
            gauge.add_metric([model], measured.gauges[name])
        yield gauge
    yield from of_batches(measures.batches)


def of_batches(measured: BatchMeasures) -> Iterator[Metric]:
    """A batch may ask several models: these have no label of one."""
    now = GaugeMetricFamily(BATCHES, "Batches that have not ended", labels=["state"])
    now.add_metric(["queued"], max(0, measured.open - measured.running))
    now.add_metric(["running"], measured.running)
    yield now
    for name, said, label, known, counts in (
        (BATCHES_ENDED, "Batches that have ended", "status", sorted(ENDED), measured.ended),
        (BATCH_REQUESTS, "Lines of batches", "outcome", OUTCOMES, measured.requests),
    ):
        counter = CounterMetricFamily(name, said, labels=[label])
        for value in known:
            counter.add_metric([value], counts.get(value, 0))
        yield counter


def buckets_of(
    measured: HistogramMeasures, limits: tuple[float, ...]
) -> Iterator[tuple[str, float] | tuple[str, float, Exemplar]]:
    """Each bucket's end, how many values lie below that, and one of those in it if it is known."""
    ends = [*(str(float(limit)) for limit in limits), "+Inf"]
    for number, (end, count) in enumerate(zip(ends, accumulate(measured.counts), strict=True)):
        found = measured.exemplars.get(number)
        yield (end, count) if found is None else (end, count, shown(*found))


def shown(trace_id: str, value: float, at: float) -> Exemplar:
    """An exemplar as the library has it."""
    seconds, fraction = divmod(at, 1)
    return Exemplar({"trace_id": trace_id}, value, Timestamp(int(seconds), int(fraction * 1e9)))
