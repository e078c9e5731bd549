"""When to leave a worker alone, whom to suspect, when to try a second worker."""

import random
from typing import Any, cast

from raylax.proto.vocabulary import Delta, Request
from raylax.router.calls.dispatcher import MOVES_AT_ONCE, RetryBudget
from raylax.router.calls.hedging import HedgePolicy
from raylax.router.calls.journal import JournalEntry
from raylax.router.fleet.table import Fleet, WorkerView
from raylax.router.workers.circuit_breaker import LONGEST_S, MOST_FAILURES, CircuitBreaker
from raylax.router.workers.inbox import WorkerLost

RNG = random.Random(1)


def test_a_circuit_opens_after_some_failures_in_a_row() -> None:
    breaker = CircuitBreaker()
    for _ in range(MOST_FAILURES - 1):
        breaker.failed(0.0, RNG)
    assert breaker.closed(0.0)
    breaker.failed(0.0, RNG)

    assert not breaker.closed(0.1)
    assert breaker.closed(1.0)


def test_an_open_circuit_stays_open_longer_each_time_up_to_a_limit() -> None:
    breaker, last = CircuitBreaker(), 0.0
    for _ in range(MOST_FAILURES):
        breaker.failed(0.0, RNG)
    for _ in range(4):
        last = breaker.open_until
        breaker.failed(0.0, RNG)
        assert breaker.open_until > last
    for _ in range(50):
        breaker.failed(0.0, RNG)

    assert breaker.open_until <= LONGEST_S * 1.2


def test_a_success_closes_it() -> None:
    breaker = CircuitBreaker()
    for _ in range(9):
        breaker.failed(0.0, RNG)
    breaker.succeeded()

    assert breaker.closed(0.0)


def entry() -> JournalEntry:
    nobody: Any = None
    return JournalEntry(Request("r", (1,), 9), nobody, nobody, deadline=9.0)


def lost(accused: bool = True, alone: bool = False) -> WorkerLost:
    return WorkerLost("w", "r", "killed", accused, alone)


def test_the_only_suspect_of_two_losses_is_guilty() -> None:
    one = entry()

    assert [one.blame(lost(alone=True)), one.blame(lost(alone=True))] == [False, True]


def test_one_of_several_suspects_has_more_chances() -> None:
    one = entry()

    assert [one.blame(lost()) for _ in range(5)] == [False] * 4 + [True]


def test_who_only_waited_is_no_suspect() -> None:
    one = entry()

    assert not any(one.blame(lost(accused=False)) for _ in range(9))


def test_who_waited_elsewhere_after_its_first_tokens_is_still_suspected() -> None:
    """That it did not begin there says nothing."""
    one = entry()
    one.record(Delta("r", (5,)))
    accused = [False, True, False, True, False, True]

    assert not any(one.blame(lost(accused=said)) for said in accused)
    assert one.strikes == 4


def test_a_token_proves_innocence() -> None:
    """The step that killed a worker kills the next one before it gives a token."""
    one = entry()
    for _ in range(9):
        assert not one.blame(lost(alone=True))
        one.record(Delta("r", (5,)))


def test_a_killer_in_the_middle_of_its_answer_is_found_at_the_second_worker() -> None:
    one = entry()
    one.record(Delta("r", (5,)))

    assert not one.blame(lost(accused=False))  # it had tokens from there
    assert one.blame(lost(alone=True))


def test_moves_have_a_budget_that_comes_back() -> None:
    budget = RetryBudget()
    taken = sum(budget.take(0.0) for _ in range(2 * MOVES_AT_ONCE))

    assert taken == MOVES_AT_ONCE
    assert budget.take(1.0)


def fleet(kv: float = 0.0, workers: int = 2) -> Fleet:
    return Fleet.of([WorkerView(f"w{i}", kv=kv, kv_capacity=100) for i in range(workers)])


def test_hedges_are_off_by_default() -> None:
    assert HedgePolicy().delay_s(1.0) is None


def test_hedges_keep_to_their_share_of_requests() -> None:
    hedge_policy = HedgePolicy(share=0.02)
    for _ in range(1000):
        hedge_policy.began()

    assert sum(hedge_policy.allowed(fleet()) for _ in range(1000)) == 20


def test_no_hedge_under_load_or_without_a_second_worker() -> None:
    hedge_policy = HedgePolicy(share=1.0, requests=100)

    assert not hedge_policy.allowed(fleet(kv=80))
    assert not hedge_policy.allowed(fleet(workers=1))
    assert hedge_policy.allowed(fleet(kv=60))


def test_patience_is_what_19_of_20_first_tokens_need() -> None:
    """Whatever the predictions are wrong by."""
    hedge_policy, rng = HedgePolicy(share=0.02), random.Random(3)
    for _ in range(5000):
        hedge_policy.answered(1.0, rng.uniform(0.0, 4.0))

    assert 3.6 < cast(float, hedge_policy.delay_s(1.0)) < 4.0
