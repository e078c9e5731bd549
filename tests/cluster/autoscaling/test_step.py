"""Orders: up at once, down late, to zero and from it."""

from dataclasses import replace

import pytest

from raylax.cluster.autoscaling.snapshot import Snapshot
from raylax.cluster.autoscaling.step import Step, Steps
from tests.support.scaling import QUIET


def at(now: float, target: int, start_s: float = 10.0, least: int = 1) -> Snapshot:
    """A look while requests come."""
    coming = replace(QUIET, arrived=10, prompt=1000, busy=True)
    return replace(coming, now=now, target=target, start_s=start_s, least=least)


def test_up_at_once() -> None:
    assert Steps().of(at(0, 3), 9) == Step(9, "more is needed")


def test_no_step_down_before_a_minute_is_known() -> None:
    """Nor, where starts take longer, within a start."""
    steps, slow = Steps(), Steps()
    said = [steps.of(at(now, 9), 2).choice for now in (0, 58, 60)]
    late = [slow.of(at(now, 9, start_s=180.0), 2).choice for now in (0, 60, 178, 180)]

    assert said == [9, 9, 2]
    assert late == [9, 9, 9, 2]


def test_down_to_the_highest_wish_of_half_a_start() -> None:
    """All at once, and 10 s at least."""
    steps = Steps()
    steps.of(at(0, 9), 9)
    steps.of(at(90, 9, start_s=60.0), 6)
    soon = steps.of(at(100, 9, start_s=60.0), 2)
    later = steps.of(at(122, 9, start_s=60.0), 2)

    assert (soon.choice, later.choice) == (6, 2)
    assert later.reason == "less has been enough for a while"


@pytest.mark.parametrize(
    ("wish", "choice", "reason"),
    [
        (60, 40, "more is needed, the most is 40"),
        (40, 40, "more is needed"),
        (3, 3, "as many as are needed"),
    ],
)
def test_never_above_the_most(wish: int, choice: int, reason: str) -> None:
    assert Steps().of(at(0, 3), wish) == Step(choice, reason)


def test_never_below_the_least() -> None:
    """A schedule may raise it at any time."""
    steps = Steps()
    steps.of(at(0, 2), 1)

    assert steps.of(at(100, 2, least=5), 1).choice == 5


def test_nobody_for_five_minutes_means_none_if_none_is_the_least() -> None:
    steps = Steps()
    steps.of(at(0, 4, least=0), 4)
    quiet = replace(QUIET, target=4, least=0)
    said = [steps.of(replace(quiet, now=now), 1).choice for now in (100, 300, 302)]

    assert said == [1, 1, 0]


def test_a_worker_that_starts_is_not_sent_away_before_anybody_could_ask_it() -> None:
    """The first one of a cluster may take longer than nobody may come."""
    steps = Steps(idle_s=60)
    starts, ready = (replace(QUIET, target=1, ready=count, least=0) for count in (0, 1))
    said = [steps.of(replace(starts, now=now), 1).choice for now in (0, 100, 200)]
    said += [steps.of(replace(ready, now=now), 1).choice for now in (202, 260, 262)]

    assert said == [1, 1, 1, 1, 1, 0]


def test_who_still_runs_something_is_not_idle() -> None:
    """Between a long answer and the next one is no time to go."""
    steps = Steps()
    steps.of(at(0, 1, least=0), 1)
    quiet = replace(QUIET, target=1, least=0)
    long_one = replace(quiet, now=900, busy=True, decoding=1.0)
    said = [steps.of(long_one, 1).choice]
    said += [steps.of(replace(quiet, now=now), 1).choice for now in (902, 1200, 1202)]

    assert said == [1, 1, 1, 0]


def test_the_first_request_orders_the_first_worker() -> None:
    """With none there is nobody to ask: routers hold it meanwhile."""
    none = replace(QUIET, target=0, ready=0, least=0)
    steps = Steps()

    assert steps.of(none, 1) == Step(0, "nobody asks")
    assert steps.of(replace(none, now=2, queued=1, busy=True), 1).choice == 1
    assert steps.of(replace(none, now=4, least=2), 1).choice == 2
