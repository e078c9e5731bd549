"""Whether drafts pay, by the clock."""

import pytest

from raylax.worker.speculation.comparison import FIRST_PAUSE, SHARE, TRIAL, Comparison


def steps(count: int, gain: float, made: Comparison | None = None) -> list[bool]:
    """Whether each step had drafts, where those make it `gain` times as fast."""
    made, had = made or Comparison(), []
    for _ in range(count):
        had.append(made.allows)
        tokens = 4 if had[-1] else 1
        made.add(had[-1], tokens, tokens / (gain if had[-1] else 1.0))
    return had


def test_drafts_that_pay_are_made_in_all_steps_but_few() -> None:
    had = steps(10 * SHARE, 1.5)

    assert had[0] is False
    assert 0.95 < sum(had) / len(had) < 1


@pytest.mark.parametrize("gain", [0.3, 0.97])
def test_drafts_that_do_not_pay_are_tried_ever_less_often(gain: float) -> None:
    had = steps(20_000, gain)

    assert had[1 : 1 + TRIAL] == [True] * TRIAL
    assert had[1 + TRIAL : 1 + TRIAL + FIRST_PAUSE] == [False] * FIRST_PAUSE
    assert sum(had) < len(had) / 30


def test_drafts_that_pay_again_are_made_again() -> None:
    made = Comparison()
    steps(500, 0.5, made)
    had = steps(1000, 2.0, made)

    assert sum(had[-200:]) > 180


def test_one_step_that_was_held_up_changes_nothing() -> None:
    made = Comparison()
    steps(200, 1.3, made)
    made.add(True, 4, 400.0)

    assert sum(steps(100, 1.3, made)) > 90
