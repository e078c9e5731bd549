"""The parts of the rule, each by itself, with the study's numbers."""

from dataclasses import replace

import pytest

from raylax.cluster.autoscaling.drain import backlog, drain
from raylax.cluster.autoscaling.means import Most, toward
from raylax.cluster.autoscaling.need import Demand, need
from raylax.cluster.autoscaling.prediction import in_time
from raylax.cluster.autoscaling.trend import Trend
from tests.support.scaling import PACE, QUIET, TARGETS, looks


def test_a_mean_forgets_two_thirds_in_its_age() -> None:
    assert toward(1.0, 0.0, 10.0, 10.0) == pytest.approx(0.3679, abs=1e-4)


def test_the_most_of_a_while_is_forgotten_after_it() -> None:
    most = Most()
    said = [most.of(now, value, 30) for now, value in ((0, 5), (10, 3), (30, 4), (31, 1), (70, 1))]

    assert said == [5, 5, 5, 4, 1]


@pytest.mark.parametrize(
    ("work", "growth", "noise", "workers"),
    [(0.0, 1.0, 0.0, 1), (0.84, 1.0, 0.0, 1), (0.9, 1.0, 0.0, 2), (0.8, 1.0, 0.1, 2), (1, 2, 0, 3)],
)
def test_need_is_work_over_what_a_worker_can_take(
    work: float, growth: float, noise: float, workers: int
) -> None:
    """At the study's targets 85 % of a worker's time is usable."""
    assert need(work, growth, noise, TARGETS.usable(PACE)) == workers


def test_what_is_found_in_pages_is_no_work() -> None:
    """The share is learned by 100 requests, the answers' length by 200."""
    plain, cached = Demand(), Demand()
    for look in looks(lambda _: 50.0, 60):
        plain.see(look)
        cached.see(replace(look, cached=look.prompt / 2))

    assert cached.hit == pytest.approx(0.5, abs=0.01)
    assert cached.prefill == pytest.approx(plain.prefill / 2, rel=0.05)


def test_noise_is_no_trend() -> None:
    """Ten requests more in one look of a thousand do not count as growth."""
    trend, demand = Trend(), Demand()
    growths = []
    for look in looks(lambda now: 50.0 + 5 * (now % 4 == 0), 200):
        demand.see(look)
        growths.append(trend.growth(look, demand.now, demand.grain))

    assert growths == [1.0] * 100


def test_a_trend_never_doubles_the_work() -> None:
    """Out of nothing, what comes is at most believed to grow by two thirds until a start."""
    growths = []
    for start_s in (1.0, 10.0, 60.0, 180.0):
        trend = Trend()
        seen = list(looks(lambda now: 100.0 * (now > 0), 200, start_s=start_s))
        growths.append(max(trend.growth(look, float(look.arrived), 0.0) for look in seen))

    assert min(growths) > 1.1
    assert max(growths) < 1.7


@pytest.mark.parametrize(
    ("left", "work", "start_s", "workers"),
    [(0.0, 5.0, 60.0, 0), (60.0, 6.0, 60.0, 8), (60.0, 6.0, 10.0, 19), (60.0, 6.0, 1.0, 19)],
)
def test_the_workers_that_drain_cost_as_much_as_what_is_late_meanwhile(
    left: float, work: float, start_s: float, workers: int
) -> None:
    """ceil(sqrt(10 * work * left / start)), where no start is shorter than 10 s."""
    assert drain(left, work, start_s) == workers


def test_a_backlog_shorter_than_half_the_target_is_none() -> None:
    assert backlog(QUIET, TARGETS, 0.0, 0.0, 0.0).left == 0.0
    few = replace(QUIET, todo=8000.0)
    many = replace(QUIET, todo=80_000.0)

    assert backlog(few, TARGETS, 0.0, 0.0, 0.0).left == 0.0
    assert backlog(few, TARGETS, 0.0, 0.0, 0.0).seconds == pytest.approx(0.43, abs=0.01)
    assert backlog(many, TARGETS, 0.0, 0.0, 0.0).left == pytest.approx(4.3, abs=0.1)


def test_a_backlog_counts_to_the_limit_of_the_wait() -> None:
    """Whoever would wait longer is refused."""
    endless = replace(QUIET, todo=1e9, ready=3)

    assert backlog(endless, TARGETS, 0.0, 0.0, 0.0).left == 3 * TARGETS.wait_limit_s


def test_nothing_is_in_time_without_workers_and_all_with_enough() -> None:
    assert in_time(0, 5.0, 0.2, 0.85, 0.0, 10.0) == 0.0
    assert in_time(10, 5.0, 0.2, 0.85, 0.0, 10.0) == 1.0
    assert in_time(3, 5.0, 0.0, 0.85, 0.0, 10.0) == pytest.approx(3 * 0.85 / 5.0)
    assert in_time(6, 5.0, 0.2, 0.85, 50.0, 10.0) < 0.6
