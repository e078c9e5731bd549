"""How much a key may ask: tables with a clock of their own."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raylax.proto.errors import RateLimited
from raylax.router.access.keys import Key
from raylax.router.access.rate_limits import MINUTE_S, RateLimiter, duration
from raylax.router.calls.models import Models
from raylax.router.config import RouterConfig


def limiter_with(routers: int = 1, **limits: Any) -> RateLimiter:
    return RateLimiter([Key("a", "0" * 64, **limits)], routers)


def refused(limiter: RateLimiter, prompt_tokens: int, now: float) -> RateLimited:
    with pytest.raises(RateLimited) as caught:
        limiter.admit("a", prompt_tokens, now)
    return caught.value


def test_requests_of_a_minute_may_come_at_once() -> None:
    """Then one comes free after another, evenly."""
    limiter = limiter_with(requests_per_minute=3)
    for _ in range(3):
        limiter.admit("a", 5, now=100.0)

    assert refused(limiter, 5, now=100.0).retry_after_s == pytest.approx(20)
    assert refused(limiter, 5, now=115.0).retry_after_s == pytest.approx(5)
    limiter.admit("a", 5, now=120.0)


def test_tokens_are_those_of_prompts_and_of_answers() -> None:
    """What an answer took too much is owed."""
    limiter = limiter_with(tokens_per_minute=600)
    ticket = limiter.admit("a", 500, now=0.0)
    ticket.generated(200, now=0.0)

    assert refused(limiter, 50, now=0.0).retry_after_s == pytest.approx(15)
    limiter.admit("a", 50, now=15.0)


def test_a_prompt_longer_than_a_minutes_tokens_waits_for_all_of_them() -> None:
    """It is not refused for ever; those after it wait the longer."""
    limiter = limiter_with(tokens_per_minute=60)
    limiter.admit("a", 10, now=0.0)

    assert refused(limiter, 100, now=0.0).retry_after_s == pytest.approx(10)
    limiter.admit("a", 100, now=10.0)
    assert refused(limiter, 1, now=10.0).retry_after_s == pytest.approx(41)


def test_calls_at_once_are_counted_until_they_close() -> None:
    """Closing twice counts once. The wait is learned from how long calls take."""
    limiter = limiter_with(max_concurrent=2)
    first, _ = (limiter.admit("a", 5, now=0.0) for _ in range(2))
    refused(limiter, 5, now=0.0)
    for _ in range(2):
        first.close(now=11.0)
    limiter.admit("a", 5, now=11.0)

    assert limiter.open("a") == 2
    assert refused(limiter, 5, now=11.0).retry_after_s == pytest.approx(1.5)


def test_a_refused_call_costs_nothing() -> None:
    limiter = limiter_with(requests_per_minute=1, tokens_per_minute=600, max_concurrent=5)
    limiter.admit("a", 100, now=0.0)
    left = limiter.headers("a", 0.0)
    for _ in range(3):
        refused(limiter, 100, now=0.0)

    assert limiter.headers("a", 0.0) == left
    assert limiter.open("a") == 1


def test_the_longest_wait_is_told_with_its_rule() -> None:
    limiter = limiter_with(requests_per_minute=60, tokens_per_minute=60)
    for _ in range(60):
        limiter.admit("a", 1, now=0.0)
    error = refused(limiter, 30, now=0.0)

    assert error.retry_after_s == pytest.approx(30)
    assert error.message == (
        "the API key a may use 60 tokens a minute, 0 are left, the prompt has 30; try again in 30 s"
    )


def test_each_of_several_routers_grants_its_part() -> None:
    """So that all of them together grant no more than the limit."""
    limiter = limiter_with(routers=4, requests_per_minute=8, max_concurrent=9)
    for _ in range(2):
        limiter.admit("a", 5, now=0.0)

    error = refused(limiter, 5, now=0.0)
    assert error.retry_after_s == pytest.approx(30)
    assert "at each of 4 routers" in error.message


def test_two_routers_of_a_cluster_grant_half_each() -> None:
    """As a router is told of the others by its configuration."""
    key = Key("a", "0" * 64, requests_per_minute=8, tokens_per_minute=1000, max_concurrent=4)
    configs = [RouterConfig("m", "", "", routers=2, keys=(key,)) for _ in range(2)]
    routers = [Models([config]).state.rate_limiter for config in configs]
    for limiter in routers:
        tickets = [limiter.admit("a", 10, now=0.0) for _ in range(2)]
        assert "2 calls at once" in refused(limiter, 10, now=0.0).message
        for ticket in tickets:
            ticket.close(now=0.0)
        for _ in range(2):
            limiter.admit("a", 10, now=0.0).close(now=0.0)

        assert "4 requests a minute at each of 2 routers" in refused(limiter, 10, now=0.0).message
        assert limiter.headers("a", 0.0)["x-ratelimit-limit-tokens"] == "500"


def test_who_has_no_limit_is_never_refused() -> None:
    """A key without limits, and whoever asks an open cluster."""
    for limiter, name in ((limiter_with(), "a"), (RateLimiter(), "")):
        for _ in range(1000):
            limiter.admit(name, 10**6, now=0.0).generated(10**6, now=0.0)

        assert limiter.headers(name, 0.0) == {}


def test_headers_are_openais() -> None:
    limiter = limiter_with(requests_per_minute=60, tokens_per_minute=6000)
    limiter.admit("a", 1500, now=0.0)

    assert limiter.headers("a", 0.0) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "6000",
        "x-ratelimit-remaining-tokens": "4500",
        "x-ratelimit-reset-tokens": "15s",
    }


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "0ms"), (0.0201, "21ms"), (1, "1s"), (1.5, "1.5s"), (59.9999, "1m0s"), (372.5, "6m12.5s")],
)
def test_durations_are_written_as_openai_does(seconds: float, written: str) -> None:
    assert duration(seconds) == written


@given(
    limit=st.integers(1, 1000),
    calls=st.lists(st.tuples(st.floats(0, 30), st.integers(0, 300)), max_size=40),
)
def test_who_returns_when_told_is_let_in_and_nobody_gets_more(
    limit: int, calls: list[tuple[float, int]]
) -> None:
    """In any window: what a full bucket has, what flows in meanwhile, and one prompt too large."""
    limiter = limiter_with(tokens_per_minute=limit)
    now, used, largest = 0.0, 0, 0
    for pause, tokens in calls:
        now += pause
        try:
            limiter.admit("a", tokens, now)
        except RateLimited as error:
            assert error.retry_after_s is not None
            now += error.retry_after_s
            limiter.admit("a", tokens, now)
        used, largest = used + tokens, max(largest, tokens)

        assert used <= limit + limit * now / MINUTE_S + max(0, largest - limit) + 1e-3
