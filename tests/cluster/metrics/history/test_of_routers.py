"""What is kept of routers: what they count by second, and percentiles of times."""

import pytest

from raylax.cluster.metrics.history.of_routers import OF_ROUTERS, ROUTER
from raylax.cluster.metrics.history.questions import History
from raylax.cluster.metrics.record import ClusterRecord, Moment
from raylax.router.observe import measures as m
from raylax.router.observe.measures import RouterMeasures, RouterReport
from raylax.router.observe.metrics import CallMetrics

START = 1_000_020


def at(second: float) -> Moment:
    return Moment(START + second, second)


def told(record: ClusterRecord, router: str, metrics: CallMetrics, now: Moment) -> None:
    measures = RouterMeasures(router=router, models={"tiny": metrics.measures(waiting=2)})
    report = RouterReport(router=router, pid=1, node="n", workers={}, measures=measures)
    record.report_router(report, now)


def history(*ttfts: float) -> History:
    """Of a second in which two routers have each seen these times to a first token."""
    record, routers = ClusterRecord(), {"r": CallMetrics("p"), "s": CallMetrics("p")}
    record.turn(at(0))
    for router, metrics in routers.items():
        told(record, router, metrics, at(0))
        for seconds in ttfts:
            metrics.of[m.TTFT].observe(seconds)
            metrics.of[m.QUEUE].observe(seconds)
            metrics.of[m.GENERATION].observe(7)
        metrics.counted[m.ATTEMPTS]["lost"] += 3
        told(record, router, metrics, at(0.5))
    record.turn(at(1))
    return record.history({"kind": "routers", "since": str(START), "until": str(START + 1)}, at(1))


def value(answer: History, column: str, row: int = 0) -> float | None:
    return answer.rows[row].values[column][0]


@pytest.mark.parametrize(
    ("times", "p50", "p99"),
    [
        ([0.06] * 10, 0.075, 0.0995),
        ([0.0004], 0.0005, 0.00099),
        ([0.06] * 9 + [0.3], 0.0777778, 0.475),
        ([500.0], 120.0, 120.0),
    ],
)
def test_percentiles_are_those_of_the_buckets(times: list[float], p50: float, p99: float) -> None:
    """Spread evenly within one; beyond the last limit there is no more than that."""
    answer = history(*times)

    assert value(answer, "ttft_p50") == pytest.approx(p50, rel=1e-5)
    assert value(answer, "ttft_p99") == pytest.approx(p99, rel=1e-5)


def test_of_a_second_without_a_token_there_is_none() -> None:
    answer = history()

    assert value(answer, "ttft_p50") is None
    assert value(answer, "queue_mean_s") is None


def test_what_routers_count_is_added() -> None:
    """Of each model, and of the cluster."""
    answer = history(0.2, 0.4)

    assert [row.name for row in answer.rows] == ["", "tiny"]
    for row in range(2):
        assert value(answer, "requests", row) == 4
        assert value(answer, "generated_tokens", row) == 28
        assert value(answer, "attempts_lost", row) == 6
        assert value(answer, "admission_waiting", row) == 4
        assert value(answer, "queue_mean_s", row) == pytest.approx(0.3)
    assert list(answer.columns) == [*ROUTER.names, *OF_ROUTERS]
