"""What fairness costs at most, as an account."""

import pytest

from raylax.worker.scheduling.decision.allowance import Allowance


def allowance(steps: int = 0) -> Allowance:
    """Of an engine with steps of 100 tokens, after so many that took 0.25 s each."""
    made = Allowance(step_tokens=100)
    for _ in range(steps):
        made.stepped(100, 0.25, short=False, any_s=0.0)
    return made


def test_a_twentieth_of_the_tokens_may_be_lost() -> None:
    """Eight steps' worth at once; a larger loss is made up for."""
    made = allowance()
    made.lost(799)
    assert made.now.giving_way
    made.lost(101)
    assert not made.now.giving_way
    for _ in range(20):
        made.stepped(100, 0.25, short=False, any_s=0.0)
    assert not made.now.giving_way
    made.stepped(100, 0.25, short=False, any_s=0.0)
    assert made.now.giving_way


def test_no_more_is_saved_up() -> None:
    made = allowance(steps=1000)
    made.lost(800)

    assert not made.now.giving_way


@pytest.mark.parametrize(
    ("took", "any_s", "steps"),
    [
        (0.01, 0.008, 1),  # 0.16 s
        (0.05, 0.02, 2),
        (0.05, 0.0, 4),  # not known: all of it
        (0.05, 5.0, 4),  # no more than all of it
        (0.1, 0.02, 8),  # in vain: a usual step is no three times as long
    ],
)
def test_short_steps_cost_a_twentieth_of_the_time(took: float, any_s: float, steps: int) -> None:
    """A hundredth, where they are of no use."""
    made = allowance(steps=1)
    assert made.now.short_step
    made.stepped(10, took, short=True, any_s=any_s)
    rested = 0
    while not made.now.short_step:
        made.stepped(100, 0.25, short=False, any_s=any_s)
        rested += 1

    assert rested == steps
