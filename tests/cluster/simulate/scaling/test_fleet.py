"""A fleet whose workers come and go: nothing is lost, and everything is paid for."""

import random
from dataclasses import replace

import numpy as np
import pytest

from raylax.cluster.autoscaling.snapshot import Targets
from raylax.cluster.simulate.engine import SimulatedEngine
from raylax.cluster.simulate.profile import ASSUMED
from raylax.cluster.simulate.scaling.curves import Curve, shaped
from raylax.cluster.simulate.scaling.fleet import ScalingFleet
from raylax.cluster.simulate.scaling.look import Look, WorkerLook
from raylax.cluster.simulate.scaling.oracle import plan_for
from raylax.cluster.simulate.scaling.plan import Plan, first_of, merged, planned, windows
from raylax.cluster.simulate.scaling.rows import FleetSettings
from raylax.cluster.simulate.scaling.rules import (
    Delayed,
    Rule,
    formula,
    hpa,
    ray_serve,
    thresholds,
)
from raylax.cluster.simulate.scaling.run import ScalingOutcome, finish, run
from raylax.cluster.simulate.scaling.shapes import SHAPES, Shape, between
from raylax.cluster.simulate.trace import Arrival
from tests.support.scaling import QUIET

GPU = ASSUMED["gpu"]
TARGETS = Targets(1.0, 0.075)


def poisson(rate: float, seconds: float, seed: int = 0) -> list[Arrival]:
    rng, at, rows = random.Random(seed), 0.0, []
    while (at := at + rng.expovariate(rate)) < seconds:
        rows.append(Arrival(at, rng.randrange(50, 2500), rng.randrange(2, 300)))
    return rows


def settings(start_s: float = 10.0, first: int = 2, max_wait_s: float = 60.0) -> FleetSettings:
    return FleetSettings(GPU, start_s, first, most=8, max_wait_s=max_wait_s)


def outcome(
    rule: Rule, rows: list[Arrival], start_s: float, first: int = 2, max_wait_s: float = 60.0
) -> ScalingOutcome:
    return run(rows, settings(start_s, first, max_wait_s), TARGETS, rule)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_ordered_every_request_ends_once(seed: int) -> None:
    """With all of its tokens, though workers come and go at random under a heavy load."""
    rng, rows = random.Random(seed), poisson(30, 60, seed)
    fleet = ScalingFleet(settings(start_s=rng.choice([0.0, 3.0]), max_wait_s=5.0), rows)
    while fleet.now < 70:
        fleet.advance(fleet.now + 2)
        fleet.order(rng.randrange(0, 9))
        there = sum(len(one.running) + len(one.waiting) for one in engines(fleet))
        assert fleet.left == there + fleet.moving + len(fleet.queue) + len(rows) - fleet._next
    finish(fleet)

    assert len(fleet.finished) + len(fleet.refused) == len(rows)
    assert len({one.id for one in fleet.finished}) == len(fleet.finished)
    assert all(one.arrived < one.first <= one.last for one in fleet.finished)
    for one in fleet.finished:  # what came before its last move, and what was left to make there
        assert one.tokens - one.arrival.prompt + one.left == one.arrival.answer - 1


def engines(fleet: ScalingFleet) -> list[SimulatedEngine]:
    return [box.engine for box in fleet.boxes]


def test_workers_cost_from_their_order_on() -> None:
    """Two for 40 s, and a third from 10 s on, of which half is its start."""
    fleet = ScalingFleet(settings(start_s=15.0), [Arrival(0.5, 100, 2)])
    fleet.advance(10.0)
    fleet.order(3)
    fleet.advance(24.0)
    assert len(fleet.ready) == 2
    fleet.advance(40.0)

    assert len(fleet.ready) == 3
    assert fleet.cost_s == pytest.approx(2 * 40 + 30)


def test_who_still_starts_goes_first() -> None:
    fleet = ScalingFleet(settings(), [Arrival(0.5, 100, 2)])
    fleet.advance(2.0)
    fleet.order(4)
    fleet.advance(4.0)
    fleet.order(2)
    fleet.advance(30.0)

    assert len(fleet.ready) == 2
    assert fleet.starts == 2


def test_what_a_leaving_worker_runs_goes_on_elsewhere_without_computing_anything_again() -> None:
    """Its pages come along: only the hand-over is lost."""
    rows = [Arrival(0.01 * n, 2000, 400) for n in range(8)]
    moved, stayed = (ScalingFleet(settings(), rows) for _ in range(2))
    for fleet, wanted in ((moved, 1), (stayed, 2)):
        fleet.advance(3.0)
        fleet.order(wanted)
        finish(fleet)

    assert len(moved.finished) == len(stayed.finished) == 8
    last = [max(one.last for one in fleet.finished) for fleet in (moved, stayed)]
    assert 0.9 < last[0] - last[1] < 3.0


def test_who_would_wait_too_long_is_refused_and_not_who_would_not() -> None:
    rows = poisson(60, 20)
    some = ScalingFleet(settings(first=1, max_wait_s=2.0), rows)
    nobody = ScalingFleet(settings(first=8, max_wait_s=2.0), rows)
    for fleet in (some, nobody):
        fleet.advance(20.0)
        finish(fleet)

    assert len(some.refused) > 100
    assert not nobody.refused
    assert max(one.first - one.arrived for one in some.finished) < 4.0


def seen(now: float, workers: int, ongoing: int, kv_usage: float = 0.1, waiting: int = 0) -> Look:
    """So many workers, who run so many requests each."""
    one = WorkerLook(kv_usage, waiting, ongoing - waiting)
    return Look(replace(QUIET, now=now, target=workers, most=40), (one,) * workers)


def test_ray_serve_wants_two_requests_for_each_replica_half_a_minute_long() -> None:
    rule = ray_serve()
    said = [rule(seen(now, 2, 5)) for now in range(0, 34, 2)]

    assert said == [2] * 15 + [5, 5]
    assert ray_serve()(seen(0, 9, 1)) == 9  # less, only after ten minutes


def test_hpa_multiplies_by_the_ratio_to_its_target_every_quarter_of_a_minute() -> None:
    rule = hpa()
    said = [rule(seen(now, 4, ongoing)) for now, ongoing in ((0, 64), (8, 99), (16, 34), (32, 16))]

    assert said == [8, 4, 4, 4]  # 34 is within a tenth of 32; and none leaves for five minutes
    assert hpa()(seen(0, 4, 16)) == 2


@pytest.mark.parametrize(
    ("kv_usage", "waiting", "wanted"), [(0.9, 0, 3), (0.5, 5, 3), (0.5, 0, 2), (0.1, 0, 1)]
)
def test_thresholds_move_by_one_when_it_has_lasted(
    kv_usage: float, waiting: int, wanted: int
) -> None:
    rule = thresholds()
    look = [seen(now, 2, 9, kv_usage, waiting) for now in (0, 2, 58, 60)]
    said = [rule(one) for one in look]

    assert said[0] == 2
    assert said[1] == max(2, wanted)
    assert said[3] == wanted


def test_a_wish_must_last() -> None:
    delayed = Delayed(up_s=4.0, down_s=10.0)
    said = [delayed.of(now, wish, 2) for now, wish in ((0, 3), (2, 2), (4, 3), (6, 4), (8, 4))]
    down = [delayed.of(now, 1, 2) for now in (10, 18, 20)]

    assert said == [2, 2, 2, 2, 4]
    assert down == [2, 2, 1]


@pytest.fixture(scope="module")
def jump() -> list[Arrival]:
    """Eight times as many requests for a minute."""
    points = (0, 4), (30, 4), (31, 32), (90, 32), (91, 4), (150, 4)
    lengths = [Arrival(0, 1000, 200), Arrival(1, 300, 150), Arrival(2, 2500, 300)]
    return shaped(lengths, Shape(between(points), 150, seed=3))


@pytest.fixture(scope="module")
def plan(jump: list[Arrival]) -> Plan:
    """Who knows the jump."""
    return plan_for(jump, settings(), TARGETS, lambda said: None)


def test_ours_comes_near_who_knows_the_future(jump: list[Arrival], plan: Plan) -> None:
    """A step up and down, starts of five seconds: no rule can meet the jump."""
    knows = planned(merged(plan, 5.0), 5.0)
    first = first_of(plan, 5.0)
    best = outcome(knows, jump, start_s=5.0, first=first, max_wait_s=float("inf"))
    ours = outcome(formula(TARGETS), jump, start_s=5.0)
    before = outcome(thresholds(), jump, start_s=5.0)

    assert best.missed < 0.01
    assert ours.hours / best.hours < 1.5
    assert best.missed < ours.missed < 0.1
    assert before.missed > ours.missed or before.hours > ours.hours


def test_a_plan_has_no_worker_that_is_not_needed(jump: list[Arrival], plan: Plan) -> None:
    """Where the plan has more than one, half a minute with one less makes more than a hundredth
    late, there or in the next."""
    total = windows(np.array([row.at for row in jump]), len(plan))
    needed = np.flatnonzero(plan > 1)

    def late_with(plan: Plan) -> Plan:
        knows, first = planned(plan, 0.0), int(plan[0])
        there = outcome(knows, jump, start_s=0.0, first=first, max_wait_s=float("inf"))
        return windows(there.late_at, len(plan))

    assert (late_with(plan) <= np.maximum(1, total / 100)).all()
    assert len(needed)
    for window in needed:
        leaner = plan.copy()
        leaner[window] -= 1
        assert (late_with(leaner) > np.maximum(1, total / 100)).any()


def test_a_copy_goes_on_by_itself_and_as_the_first_one() -> None:
    rows = poisson(20, 40)
    fleet = ScalingFleet(settings(), rows)
    fleet.advance(10.0)
    twin, other = fleet.copy(), fleet.copy()
    for one, wanted in ((fleet, 3), (twin, 3), (other, 1)):
        one.order(wanted)
        one.advance(40.0)
        finish(one)

    ends = [[(one.id, one.first, one.last) for one in it.finished] for it in (fleet, twin, other)]
    assert ends[0] == ends[1]
    assert ends[0] != ends[2]
    assert fleet.cost_s == twin.cost_s > other.cost_s


@pytest.mark.parametrize(
    ("curve", "requests"),
    [
        ("flat", 161_808), ("steps", 211_628), ("ramp", 266_585), ("spike", 66_759),
        ("idle", 56_055), ("daycurve", 1_296_584),
    ],
)  # fmt: skip
def test_curves_are_the_studys(curve: str, requests: int) -> None:
    """To the last request."""
    shape, rng = SHAPES[curve], np.random.default_rng(SHAPES[curve].seed)
    at = np.arange(0, shape.seconds, 0.5)

    assert rng.poisson(shape.rate(at) * 0.5).sum() == requests


def test_a_recorded_trace_comes_ten_times() -> None:
    trace = [Arrival(at, 100 + at, 10) for at in range(60)]
    rows = Curve().requests(trace)

    assert len(rows) == 600
    assert sum(10 <= row.at < 20 for row in rows) == pytest.approx(100, abs=25)


def test_of_a_shape_arrivals_come_in_order_with_the_traces_lengths() -> None:
    trace = [Arrival(0, 100, 10), Arrival(1, 200, 20)]
    rows = Curve("idle").requests(trace)

    assert [row.at for row in rows] == sorted(row.at for row in rows)
    assert {row[1:] for row in rows} == {row[1:] for row in trace}
