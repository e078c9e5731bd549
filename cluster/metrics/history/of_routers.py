"""What is kept of routers, in columns, for each of their models."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from raylax.cluster.metrics.history.columns import Column, Columns, Kind
from raylax.cluster.metrics.history.questions import Derived, Table, ratio
from raylax.cluster.metrics.history.series import Numbers, numbers
from raylax.router.observe import measures as m
from raylax.router.observe.measures import ModelMeasures

TIMES = {"ttft": (m.TTFT, "first tokens"), "itl": (m.ITL, "pieces of streams after the first")}
"""Of which there are percentiles: the name, and what is counted."""
OUTCOMES = {
    "attempts_lost": ("lost", "requests that were lost with a worker, and moved"),
    "attempts_handed_over": ("handed over", "requests that moved on from a worker that drains"),
    "attempts_outrun": ("outrun", "requests of which another worker was sooner"),
    "attempts_parked": ("parked", "requests whose client reads slowly"),
}
SUMS = {
    "queue_s": (m.QUEUE, "seconds that requests waited until an engine began"),
    "admission_wait_s": (m.ADMISSION, "seconds that calls waited to be let through"),
    "prompt_tokens": (m.PROMPT, "prompt tokens of requests that ended"),
    "generated_tokens": (m.GENERATION, "tokens generated of requests that ended"),
}
PERCENTILES = (50, 90, 99)


def bucket(name: str, limit: float) -> str:
    """The column of the times up to this limit."""
    return f"{name}_le_{limit:g}"


LIMITS = (*m.BUCKETS_S, float("inf"))
ROUTER = Columns(
    [
        Column("inflight", Kind.GAUGE, "calls that run"),
        Column("admission_waiting", Kind.GAUGE, "calls that wait to be let through"),
        Column("calls", Kind.COUNTER, "calls that ended"),
        Column("failed", Kind.COUNTER, "of those, which ended early"),
        Column("refused", Kind.COUNTER, "calls that were not let in"),
        Column("choices", Kind.COUNTER, "choices of answers that ended"),
        Column("requests", Kind.COUNTER, "requests that ended"),
        Column("admitted", Kind.COUNTER, "calls that were let through"),
        Column("decisions", Kind.COUNTER, "choices of a worker"),
        *(Column(name, Kind.COUNTER, text) for name, (_, text) in OUTCOMES.items()),
        *(Column(name, Kind.COUNTER, text) for name, (_, text) in SUMS.items()),
        *(
            Column(bucket(name, limit), Kind.COUNTER, f"{text} within {limit:g} s")
            for name, (_, text) in TIMES.items()
            for limit in LIMITS
        ),
    ]
)


def percentile(name: str, percent: int) -> Callable[[Table], NDArray[np.float64]]:
    """Of the times in each slot, by the buckets that they fall into: within one they are taken to
    be spread evenly, and none to be beyond the last limit, as `histogram_quantile` of Prometheus
    has it."""
    ends = np.array(m.BUCKETS_S)

    def made(table: Table) -> NDArray[np.float64]:
        counts = np.array([table[bucket(name, limit)] for limit in LIMITS])  # (buckets, times)
        upto = np.cumsum(counts, axis=0)
        wanted = upto[-1] * percent / 100
        at = (upto < wanted).sum(axis=0)
        last = np.minimum(at, len(ends) - 1)
        times = np.arange(counts.shape[1])
        below = np.where(last > 0, upto[last - 1, times], 0.0)
        start = np.where(last > 0, ends[last - 1], 0.0)
        inside = counts[last, times]
        share = (wanted - below) / np.where(inside > 0, inside, np.nan)
        spread = start + (ends[last] - start) * np.clip(share, 0.0, 1.0)
        return np.where(upto[-1] > 0, np.where(at >= len(ends), ends[-1], spread), np.nan)

    return made


OF_ROUTERS = {
    **{
        f"{name}_p{percent}": Derived(
            f"seconds within which {percent} % of {text} came", percentile(name, percent)
        )
        for name, (_, text) in TIMES.items()
        for percent in PERCENTILES
    },
    "queue_mean_s": Derived(
        "seconds that a request waited until an engine began", ratio(["queue_s"], "requests")
    ),
    "admission_mean_s": Derived(
        "seconds that a call waited to be let through", ratio(["admission_wait_s"], "admitted")
    ),
}


def of_router(measures: ModelMeasures) -> Numbers:
    """By the columns of ROUTER: what a router says of a model."""
    histograms, counters, gauges = measures.histograms, measures.counters, measures.gauges
    attempts = counters[m.ATTEMPTS]
    return numbers(
        {
            "inflight": gauges[m.INFLIGHT],
            "admission_waiting": gauges[m.WAITING],
            "calls": sum(histograms[m.E2E].counts),
            "failed": sum(counters[m.FAILED].values()),
            "refused": sum(counters[m.REFUSED].values()),
            "choices": sum(counters[m.SUCCESS].values()),
            "requests": sum(histograms[m.GENERATION].counts),
            "admitted": sum(histograms[m.ADMISSION].counts),
            "decisions": sum(counters[m.DECISIONS].values()),
            **{name: attempts.get(outcome, 0) for name, (outcome, _) in OUTCOMES.items()},
            **{name: histograms[theirs].sum for name, (theirs, _) in SUMS.items()},
            **{
                bucket(name, limit): count
                for name, (theirs, _) in TIMES.items()
                for limit, count in zip(LIMITS, histograms[theirs].counts, strict=True)
            },
        },
        ROUTER,
    )
