"""Whether drafts pay, by the clock."""

import pytest

from raylax.worker.speculation.comparison import (
    BUDGET,
    LONGEST_PAUSE,
    SHARE,
    TRIAL,
    Comparison,
)

MISSED = 6.0
"""Steps that who drafts needs to read what it has missed."""


class Steps:
    """Steps of a second each without drafts. With them they bring four tokens, and are `gain` times
    as fast; what was missed is read before the first one."""

    def __init__(self, missed: float = 0.0) -> None:
        self.made, self.missed = Comparison(), missed
        self.had: list[bool] = []
        self.seconds: list[float] = []

    def make(self, count: int, gain: float) -> list[bool]:
        """Whether each of so many more had drafts."""
        for _ in range(count):
            drafted = self.made.allows
            took = 4 / gain if drafted else 1.0
            if drafted and not (self.had and self.had[-1]):
                took += self.missed
            self.made.add(drafted, 4 if drafted else 1, took)
            self.had.append(drafted)
            self.seconds.append(took)
        return self.had[-count:]

    @property
    def cost(self) -> float:
        """Seconds that they took, of those that their tokens would have taken without drafts."""
        return sum(self.seconds) / sum(4 if drafted else 1 for drafted in self.had)


def test_drafts_that_pay_are_made_in_all_steps_but_few() -> None:
    had = Steps().make(10 * SHARE, 1.5)

    assert had[0] is False
    assert 0.95 < sum(had) / len(had) < 1


@pytest.mark.parametrize("gain", [0.2, 0.5, 0.7, 0.97])
@pytest.mark.parametrize("missed", [0.0, MISSED])
def test_drafts_that_do_not_pay_cost_no_more_than_their_budget(gain: float, missed: float) -> None:
    steps = Steps(missed)
    had = steps.make(10_000, gain)

    assert had[1:3] == [True, True]
    assert not any(had[2 + TRIAL : 8 + TRIAL])
    assert 1 < steps.cost < 1 + 2 * BUDGET


def test_what_is_cheap_to_try_is_tried_often() -> None:
    cheap, dear = Steps().make(10_000, 0.97), Steps().make(10_000, 0.5)

    assert sum(cheap) > 10 * sum(dear) > 0


@pytest.mark.parametrize("missed", [0.0, MISSED])
def test_drafts_that_pay_again_are_made_again(missed: float) -> None:
    """As soon as the next trial, and though who drafts has to read first what it has missed."""
    steps = Steps(missed)
    steps.make(1000, 0.5)
    had = steps.make(LONGEST_PAUSE + 100, 2.0)

    assert sum(had[-100:]) > 90


def test_drafts_that_do_not_pay_any_more_end_soon() -> None:
    steps = Steps()
    steps.make(500, 2.0)

    assert sum(steps.make(500, 0.5)) < 50


def test_one_step_that_was_held_up_changes_nothing() -> None:
    steps = Steps()
    steps.make(200, 1.3)
    steps.made.add(True, 4, 400.0)

    assert sum(steps.make(100, 1.3)) > 90


def test_a_trial_that_was_held_up_is_repeated() -> None:
    steps = Steps()
    steps.make(1, 1.3)
    steps.made.add(True, 4, 1e6)
    steps.make(LONGEST_PAUSE + SHARE, 1.3)

    assert sum(steps.make(100, 1.3)) > 90
