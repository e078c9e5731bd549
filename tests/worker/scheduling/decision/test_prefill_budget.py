"""How much prefill a step may hold beside those who decode, in tables."""

from itertools import product
from math import inf

import pytest

from raylax.proto.vocabulary import Priority
from raylax.worker.scheduling.decision.prefill_budget import (
    LEAST_PART,
    TIMES_LOW,
    TIMES_QUIET,
    UNKNOWN,
    Budget,
    prefill_budget,
    step_target,
)
from raylax.worker.scheduling.decision.prefill_time import PrefillTime, pairs

MOST = 512
TIME, DEEP = PrefillTime(token=1e-3), PrefillTime(token=1e-3, pair=1e-6)
HIGH, NORMAL, LOW = Priority
CLASSES = [
    {one for one, there in zip(Priority, mask, strict=True) if there}
    for mask in product((True, False), repeat=3)
]


@pytest.mark.parametrize(
    ("quiet_s", "itl_s", "classes", "target_s"),
    [
        (0.010, None, {NORMAL}, 0.010 * TIMES_QUIET),
        (0.010, None, {HIGH, LOW}, 0.010 * TIMES_QUIET),
        (0.010, None, {LOW}, 0.010 * TIMES_QUIET * TIMES_LOW),
        (0.0, None, {NORMAL}, inf),  # it is not known what they take
        (0.010, None, set(), inf),  # nobody waits for the next token
        (0.010, 0, {HIGH}, inf),
        (0.0, 0.05, {NORMAL}, 0.05),
        (0.9, 0.05, {HIGH}, 0.05),
        (0.9, 0.05, {LOW}, 0.05 * TIMES_LOW),
        (0.9, 0.05, set(), inf),
    ],
)
def test_the_target_of_a_step(
    quiet_s: float, itl_s: float | None, classes: set[Priority], target_s: float
) -> None:
    assert step_target(quiet_s, itl_s, classes) == pytest.approx(target_s)


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("itl_s", [None, 0.0, 1e-9, 0.02, 1e9])
def test_no_class_waits_longer_for_a_lower_one(classes: set[Priority], itl_s: float | None) -> None:
    """Who joins a step never makes it longer than it may be for those who are there."""
    for joining in Priority:
        both = step_target(0.01, itl_s, classes | {joining})

        assert both <= step_target(0.01, itl_s, classes)
        assert both <= step_target(0.01, itl_s, {joining})


@pytest.mark.parametrize(
    ("quiet_s", "prefill", "before", "target_s", "tokens"),
    [
        (0.031, TIME, 0, 0.1315, 100),
        (0.031, TIME, 3000, 0.1315, 100),  # nothing is said of what stands before
        (0.031, DEEP, 0, 0.1315, 95),
        (0.031, DEEP, 3000, 0.1315, 25),
        (0.031, TIME, 0, 9.0, MOST),
        (0.031, TIME, 0, inf, MOST),
        (0.0, TIME, 0, 0.0505, 50),
        (0.031, PrefillTime(), 0, 0.1315, UNKNOWN),  # it is not known what a token takes
    ],
)
def test_a_step_stays_within_the_target(
    quiet_s: float, prefill: PrefillTime, before: int, target_s: float, tokens: int
) -> None:
    assert prefill_budget(quiet_s, prefill, 1, before, target_s, MOST).tokens == tokens


def test_steps_of_prefills_alone_are_full() -> None:
    assert prefill_budget(0.01, TIME, 0, 0, 0.001, MOST) == Budget(MOST)


@pytest.mark.parametrize("target_s", [0.110, 0.100, 1e-9])
def test_a_prefill_does_not_starve(target_s: float) -> None:
    """Where those who decode need all of the target, or more: it has a part of the step, and the
    budget says so."""
    quiet_s = 0.1
    budget = prefill_budget(quiet_s, PrefillTime(1e-5), 70, 0, target_s, 10**6)
    its = budget.tokens * 1e-5

    assert budget.floor == (target_s < quiet_s / (1 - LEAST_PART))
    if budget.floor:
        assert its / (quiet_s + its) == pytest.approx(LEAST_PART, rel=0.01)


TABLE = list(product((1, 3, 8, 40), (1, 4, 8), (0, 100, 4000), (1e-9, 0.012, 0.03, 0.2), (8, 512)))


@pytest.mark.parametrize(("decoding", "tile", "before", "target_s", "most"), TABLE)
def test_every_budget_is_some_and_no_more_than_it_may_be(
    decoding: int, tile: int, before: int, target_s: float, most: int
) -> None:
    """Of all of the table: one token at least, `most` at most, whole tiles, and within the target
    unless they are the least that there is."""
    quiet_s, prefill = 0.01, PrefillTime(2e-4, 1e-7)
    tokens = prefill_budget(quiet_s, prefill, decoding, before, target_s, most, tile).tokens
    took = quiet_s + prefill.seconds(tokens, pairs(tokens, before))

    assert 1 <= tokens <= most
    assert tokens == most or tokens <= tile or (decoding + tokens) % tile == 0
    assert tokens <= tile or took <= max(target_s, quiet_s / (1 - LEAST_PART)) * (1 + 1e-9)
    if most > tokens:  # and one tile more would be too much
        more = tokens + tile
        assert quiet_s + prefill.seconds(more, pairs(more, before)) > target_s
