"""How much a key may ask: tables with a clock of their own."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raylax.proto.errors import InvalidRequest, RateLimited
from raylax.router.access.keys import Key
from raylax.router.access.rate_limits import MINUTE_S, Cost, RateLimiter, Ticket, duration
from raylax.router.calls.models import Models
from raylax.router.config import RouterConfig


def limiter_with(routers: int = 1, **limits: Any) -> RateLimiter:
    return RateLimiter([Key("a", "0" * 64, **limits)], routers)


def ask(limiter: RateLimiter, now: float, tokens: int = 5, **cost: Any) -> Ticket:
    """A call that comes and is let in. Raises RateLimited."""
    limiter.enter("a", now)
    return limiter.admit("a", Cost(prompt_tokens=tokens, **cost), now)


def refused(limiter: RateLimiter, now: float, tokens: int = 5, **cost: Any) -> RateLimited:
    with pytest.raises(RateLimited) as caught:
        ask(limiter, now, tokens, **cost)
    return caught.value


def end(ticket: Ticket, now: float, used: int = 5) -> None:
    ticket.used = used
    ticket.close(now)


def test_requests_of_a_minute_may_come_at_once() -> None:
    """Then one comes free after another, evenly."""
    limiter = limiter_with(requests_per_minute=3)
    for _ in range(3):
        ask(limiter, now=100.0)

    assert refused(limiter, now=100.0).retry_after_s == pytest.approx(20)
    assert refused(limiter, now=115.0).retry_after_s == pytest.approx(5)
    ask(limiter, now=120.0)


def test_every_sequence_is_a_request() -> None:
    """However few calls they come in."""
    limiter = limiter_with(requests_per_minute=6)
    ask(limiter, now=0.0, sequences=4)
    error = refused(limiter, now=0.0, sequences=4)

    assert "6 requests a minute, this call counts as 4" in error.message
    assert error.retry_after_s == pytest.approx(30)  # one was left, and is spent
    ask(limiter, now=30.0, sequences=4)


def test_what_computes_nothing_is_a_request_too() -> None:
    limiter = limiter_with(requests_per_minute=2)
    for _ in range(2):
        limiter.enter("a", now=0.0)

    with pytest.raises(RateLimited, match="send 2 requests a minute; try again in 30 s"):
        limiter.enter("a", now=0.0)


def test_tokens_are_those_of_prompts_and_of_answers() -> None:
    """Set aside when a call begins: another cannot have them."""
    limiter = limiter_with(tokens_per_minute=600)
    ask(limiter, now=0.0, tokens=300, answer_tokens=250)

    error = refused(limiter, now=0.0, tokens=40, answer_tokens=20)
    assert error.retry_after_s == pytest.approx(1)
    assert "50 are left, the prompt has 40 and the answer may have 20" in error.message
    ask(limiter, now=0.0, tokens=40, answer_tokens=10)


def test_what_an_answer_did_not_take_is_given_back() -> None:
    limiter = limiter_with(tokens_per_minute=600)
    end(ask(limiter, now=0.0, tokens=100, answer_tokens=500), now=0.0, used=130)

    assert limiter.headers("a", 0.0)["x-ratelimit-remaining-tokens"] == "470"


def test_tokens_that_are_known_at_the_end_alone_are_owed() -> None:
    """As of texts to be tokenised: the next call waits."""
    limiter = limiter_with(tokens_per_minute=600)
    end(ask(limiter, now=0.0, tokens=0), now=0.0, used=900)

    assert refused(limiter, now=0.0, tokens=0).retry_after_s == pytest.approx(30)


def test_who_names_no_length_sets_aside_what_there_may_be() -> None:
    """No more than the limit, which would fit never; the rest is owed."""
    limiter = limiter_with(tokens_per_minute=600)
    ticket = ask(limiter, now=0.0, tokens=100, answer_tokens=8000, open_ended=True)
    refused(limiter, now=0.0, tokens=1)
    end(ticket, now=0.0, used=700)

    assert refused(limiter, now=0.0, tokens=0).retry_after_s == pytest.approx(10)


@pytest.mark.parametrize(
    ("limits", "cost", "said"),
    [
        ({"max_concurrent": 8}, Cost(9), "run 8 sequences at once, this call comes to 9"),
        ({"requests_per_minute": 8}, Cost(9), "send 8 requests a minute, .* comes to 9"),
        ({"tokens_per_minute": 60}, Cost(1, 61), "use 60 tokens a minute, .* comes to 61"),
        ({"tokens_per_minute": 60}, Cost(1, 9, 52), "this call comes to 61: it never fits"),
        ({"tokens_per_minute": 60}, Cost(1, 61, 0, True), "this call comes to 61: it never fits"),
    ],
)
def test_a_call_larger_than_a_limit_is_wrong(limits: dict[str, int], cost: Cost, said: str) -> None:
    """No wait helps it, at any number of routers."""
    for routers in (1, 2):
        with pytest.raises(InvalidRequest, match=said):
            limiter_with(routers, **limits).admit("a", cost, now=0.0)


@pytest.mark.parametrize(
    ("limits", "cost"),
    [
        ({"max_concurrent": 8}, {"sequences": 8}),
        ({"requests_per_minute": 8}, {"sequences": 8}),
        ({"tokens_per_minute": 60}, {"tokens": 30, "answer_tokens": 30}),
    ],
)
def test_a_call_larger_than_a_routers_part_waits_until_nothing_of_that_is_in_use(
    limits: dict[str, int], cost: dict[str, int]
) -> None:
    """Whether it fits into a limit does not depend on how many routers there are."""
    limiter = limiter_with(2, **limits)
    first = ask(limiter, now=0.0)
    error = refused(limiter, now=0.0, **cost)
    assert error.retry_after_s is not None
    end(first, now=0.0)
    ask(limiter, now=error.retry_after_s, **cost)

    refused(limiter, now=error.retry_after_s)


def test_sequences_at_once_are_counted_until_their_call_closes() -> None:
    """Closing twice counts once. The wait is learned from how long calls take."""
    limiter = limiter_with(max_concurrent=4)
    first, _ = (ask(limiter, now=0.0, sequences=2) for _ in range(2))
    refused(limiter, now=0.0)
    for _ in range(2):
        end(first, now=11.0)
    ask(limiter, now=11.0)
    ask(limiter, now=11.0)

    assert limiter.open("a") == 4
    error = refused(limiter, now=11.0)
    assert error.retry_after_s == pytest.approx(0.75)
    assert "run 4 sequences at once, 4 are running, this call comes to 1" in error.message


def test_a_refused_call_is_a_request_and_nothing_else() -> None:
    """It was read, and its prompt tokenised. Who was told of a wait is let in after it."""
    limiter = limiter_with(requests_per_minute=6, tokens_per_minute=600, max_concurrent=50)
    ask(limiter, now=0.0, tokens=600)
    left = limiter.headers("a", 0.0)
    for _ in range(3):
        error = refused(limiter, now=0.0, tokens=100)

    assert limiter.headers("a", 0.0) == left | {
        "x-ratelimit-remaining-requests": "2",
        "x-ratelimit-reset-requests": "40s",
    }
    assert limiter.open("a") == 1
    assert error.retry_after_s == pytest.approx(10)
    ask(limiter, now=10.0, tokens=100)


def test_the_longest_wait_is_told_with_its_rule() -> None:
    """Of all that the next try needs, which is a request, too."""
    limiter = limiter_with(requests_per_minute=2, tokens_per_minute=60)
    ask(limiter, now=0.0, tokens=59)
    error = refused(limiter, now=0.0, tokens=2)

    assert error.retry_after_s == pytest.approx(30)
    assert error.message == "the API key a may send 2 requests a minute; try again in 30 s"


def test_each_of_several_routers_grants_its_part() -> None:
    """So that all of them together grant no more than the limit."""
    limiter = limiter_with(routers=4, requests_per_minute=8, max_concurrent=9)
    for _ in range(2):
        ask(limiter, now=0.0)

    error = refused(limiter, now=0.0)
    assert error.retry_after_s == pytest.approx(30)
    assert "at each of 4 routers" in error.message


def test_two_routers_of_a_cluster_grant_half_each() -> None:
    """As a router is told of the others by its configuration."""
    key = Key("a", "0" * 64, requests_per_minute=10, tokens_per_minute=1000, max_concurrent=4)
    configs = [RouterConfig("m", "", "", routers=2, keys=(key,)) for _ in range(2)]
    routers = [Models([config]).state.rate_limiter for config in configs]
    for limiter in routers:
        tickets = [ask(limiter, now=0.0, tokens=10) for _ in range(2)]
        assert "2 sequences at once" in refused(limiter, now=0.0, tokens=10).message
        for ticket in tickets:
            end(ticket, now=0.0, used=10)
        for _ in range(2):
            end(ask(limiter, now=0.0, tokens=10), now=0.0, used=10)

        assert "5 requests a minute at each of 2 routers" in refused(limiter, now=0.0).message
        assert limiter.headers("a", 0.0)["x-ratelimit-limit-tokens"] == "500"


def test_who_has_no_limit_is_never_refused() -> None:
    """A key without limits, and whoever asks an open cluster."""
    for limiter, name in ((limiter_with(), "a"), (RateLimiter(), "")):
        for _ in range(1000):
            limiter.enter(name, now=0.0)
            end(limiter.admit(name, Cost(99, 10**6, 10**6), now=0.0), now=0.0, used=10**6)

        assert limiter.headers(name, 0.0) == {}


def test_headers_are_openais() -> None:
    limiter = limiter_with(requests_per_minute=60, tokens_per_minute=6000)
    ask(limiter, now=0.0, tokens=1500)

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
    calls=st.lists(
        st.tuples(st.floats(0, 30), st.integers(0, 300), st.integers(0, 300), st.floats(0, 1)),
        max_size=40,
    ),
)
def test_who_returns_when_told_is_let_in_and_nobody_gets_more(
    limit: int, calls: list[tuple[float, int, int, float]]
) -> None:
    """In any window: what a full bucket has, and what flows in meanwhile. An answer takes some of
    what it may have."""
    limiter = limiter_with(tokens_per_minute=limit)
    now, used = 0.0, 0
    for pause, prompt, answer, taken in calls:
        now += pause
        if prompt + answer > limit:
            with pytest.raises(InvalidRequest):
                ask(limiter, now, prompt, answer_tokens=answer)
            continue
        try:
            ticket = ask(limiter, now, prompt, answer_tokens=answer)
        except RateLimited as error:
            assert error.retry_after_s is not None
            now += error.retry_after_s
            ticket = ask(limiter, now, prompt, answer_tokens=answer)
        end(ticket, now, prompt + round(taken * answer))
        used += ticket.used

        assert used <= limit + limit * now / MINUTE_S + 1e-3
