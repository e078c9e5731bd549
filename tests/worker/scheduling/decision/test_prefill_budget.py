"""How much prefill a step may hold beside those who decode, in tables."""

from itertools import product
from math import inf

import pytest

from raylax.worker.scheduling.decision.prefill_budget import (
    LEAST_PART,
    UNKNOWN,
    Budget,
    prefill_budget,
    within_reach,
)
from raylax.worker.scheduling.pace.prefill_time import PrefillTime, pairs

MOST = 512
TIME, DEEP = PrefillTime(token=1e-3), PrefillTime(token=1e-3, pair=1e-6)


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


@pytest.mark.parametrize(
    ("most", "tried", "tokens"),
    [
        (512, 0, UNKNOWN),
        (512, 1, UNKNOWN),
        (512, UNKNOWN, 2 * UNKNOWN),
        (512, 200, 400),
        (512, 256, 512),
        (512, 512, 512),
        (8, 0, 8),
    ],
)
def test_what_was_tried_tells_of_twice_as_much(most: int, tried: int, tokens: int) -> None:
    """And a full step is reached from nothing in a few, however long it may be."""
    assert within_reach(most, tried) == tokens
