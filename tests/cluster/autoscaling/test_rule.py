"""The rule as a whole: what is decided while requests come, and the receipt of it."""

import math
from dataclasses import replace

import pytest

from raylax.cluster.autoscaling.rule import ScalingRule
from raylax.cluster.autoscaling.snapshot import USABLE, Targets
from tests.support.scaling import ANSWER, PACE, PROMPT, QUIET, TARGETS, decided, looks


def work_of(rate: float) -> float:
    """Workers that so many requests a second keep busy, by the formula."""
    decode_s = ANSWER * (PACE.c + PACE.d * (PROMPT + ANSWER / 2))
    return rate * (PACE.b * PROMPT + decode_s)


def test_as_many_as_the_work_takes() -> None:
    """45 requests a second of the same kind, after ten ages of the mean."""
    last = decided(ScalingRule(TARGETS), looks(lambda _: 45.0, 200))[-1]
    usable = 1 - 0.008 / (0.7 * 0.075)

    assert last.usable == pytest.approx(usable)
    assert last.work == pytest.approx(work_of(45), rel=1e-3)
    assert last.growth == 1.0
    assert last.choice == last.need
    assert math.ceil(work_of(45) / usable) <= last.choice <= math.ceil(work_of(45) / usable) + 1


def test_a_ramp_is_met_before_it_arrives() -> None:
    """While twice as many come within ten minutes, each decision is for a start later."""
    receipts = decided(ScalingRule(TARGETS), looks(lambda now: 20 + now / 10, 600, start_s=60.0))
    middle = receipts[200]

    assert middle.growth > 1.05
    assert middle.need / middle.work > 1.05 / middle.usable


def test_a_jump_is_met_at_once_and_kept_for_three_starts() -> None:
    """Up with the mean of what comes; down only when three starts have passed without need."""
    receipts = decided(
        ScalingRule(TARGETS), looks(lambda now: 60.0 if 100 <= now < 160 else 5.0, 600)
    )
    peak = max(one.choice for one in receipts)
    at = {one.inputs.now: one.choice for one in receipts}

    assert peak >= 6
    assert at[160 + 28] == peak
    assert at[160 + 60] < peak


def test_a_backlog_gets_workers_of_its_own() -> None:
    """Until it is computed, beyond those that keep up with what comes."""
    rule = ScalingRule(TARGETS)
    look = None
    for look in looks(lambda _: 20.0, 100, workers=3):
        rule.decide(look)
    assert look is not None
    late = rule.decide(replace(look, now=look.now + 2, queued=400, queued_tokens=400_000.0))

    assert late.backlog_s > TARGETS.ttft_s / 2
    assert late.drain >= 3
    assert late.wish == max(late.hold, late.need + late.drain)
    assert late.choice == late.wish


def test_the_receipt_tells_what_one_worker_more_or_less_would_mean() -> None:
    last = decided(ScalingRule(TARGETS), looks(lambda _: 45.0, 200))[-1]
    less, same, more = last.in_time

    assert less < same <= more <= 1.0
    assert same > 0.99
    assert last.asdict()["inputs"]["prompt"] == 45 * 2 * PROMPT


def test_nobody_sets_a_target_and_none_depends_on_the_machine() -> None:
    """Ten empty steps are then the time for a token, whatever the pace."""
    slow = replace(PACE, a=PACE.a * 100)

    assert Targets().usable(PACE) == Targets().usable(slow) == USABLE
    assert Targets(itl_s=0.08).usable(PACE) == pytest.approx(USABLE)


def test_a_target_below_an_empty_step_leaves_a_tenth_of_a_worker() -> None:
    assert Targets(itl_s=0.001).usable(PACE) == 0.1


def test_the_same_looks_give_the_same_receipts() -> None:
    """It knows no clock and no chance."""

    def once() -> list[dict[str, object]]:
        seen = looks(lambda now: 30 + 20 * math.sin(now / 40), 300)
        return [one.asdict() for one in decided(ScalingRule(TARGETS), seen)]

    assert once() == once()


def test_before_anybody_came_there_is_nothing_to_do() -> None:
    assert ScalingRule(TARGETS).decide(QUIET).choice == 1
