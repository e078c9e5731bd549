"""When to leave a worker alone, whom to suspect, when to try a second worker."""

import random
from typing import Any, cast

from raylax.proto.vocabulary import Delta, Request
from raylax.router.calls.dispatcher import MOVES_AT_ONCE, Budget
from raylax.router.calls.hedging import Hedges
from raylax.router.calls.journal import Entry
from raylax.router.fleet.table import Fleet, WorkerView
from raylax.router.workers.circuit_breaker import LONGEST_S, MOST_FAILURES, Circuit
from raylax.router.workers.inbox import WorkerLost

RNG = random.Random(1)


def test_a_circuit_opens_after_some_failures_in_a_row() -> None:
    circuit = Circuit()
    for _ in range(MOST_FAILURES - 1):
        circuit.failed(0.0, RNG)
    assert circuit.closed(0.0)
    circuit.failed(0.0, RNG)

    assert not circuit.closed(0.1)
    assert circuit.closed(1.0)


def test_an_open_circuit_stays_open_longer_each_time_up_to_a_limit() -> None:
    circuit, last = Circuit(), 0.0
    for _ in range(MOST_FAILURES):
        circuit.failed(0.0, RNG)
    for _ in range(4):
        last = circuit.open_until
        circuit.failed(0.0, RNG)
        assert circuit.open_until > last
    for _ in range(50):
        circuit.failed(0.0, RNG)

    assert circuit.open_until <= LONGEST_S * 1.2


def test_a_success_closes_it() -> None:
    circuit = Circuit()
    for _ in range(9):
        circuit.failed(0.0, RNG)
    circuit.succeeded()

    assert circuit.closed(0.0)


def entry() -> Entry:
    nobody: Any = None
    return Entry(Request("r", (1,), 9), nobody, nobody, deadline=9.0)


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
    budget = Budget()
    taken = sum(budget.take(0.0) for _ in range(2 * MOVES_AT_ONCE))

    assert taken == MOVES_AT_ONCE
    assert budget.take(1.0)


def fleet(kv: float = 0.0, workers: int = 2) -> Fleet:
    return Fleet.of([WorkerView(f"w{i}", kv=kv, kv_capacity=100) for i in range(workers)])


def test_hedges_are_off_by_default() -> None:
    assert Hedges().patience_s(1.0) is None


def test_hedges_keep_to_their_share_of_requests() -> None:
    hedges = Hedges(share=0.02)
    for _ in range(1000):
        hedges.began()

    assert sum(hedges.allowed(fleet()) for _ in range(1000)) == 20


def test_no_hedge_under_load_or_without_a_second_worker() -> None:
    hedges = Hedges(share=1.0, requests=100)

    assert not hedges.allowed(fleet(kv=80))
    assert not hedges.allowed(fleet(workers=1))
    assert hedges.allowed(fleet(kv=60))


def test_patience_is_what_19_of_20_first_tokens_need() -> None:
    """Whatever the predictions are wrong by."""
    hedges, rng = Hedges(share=0.02), random.Random(3)
    for _ in range(5000):
        hedges.answered(1.0, rng.uniform(0.0, 4.0))

    assert 3.6 < cast(float, hedges.patience_s(1.0)) < 4.0
