"""When to leave a worker alone."""

import random

from raylax.router.workers.circuit_breaker import LONGEST_S, MOST_FAILURES, CircuitBreaker

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
