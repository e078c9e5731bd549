"""Policies are tables: who is chosen, given what is known.

Times are round numbers: `B` is the pace of the workers here, a second for ten tokens of prefill.
"""

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest

from raylax.proto.vocabulary import Load, StepTime
from raylax.router.fleet.ledger import Ledger
from raylax.router.fleet.table import Fleet, WorkerView
from raylax.router.policies import DEFAULT, POLICIES, policy_named
from raylax.router.policies.base import NoCandidate, RoutingChoice, RoutingRequest

B = 0.1
IDLE = WorkerView("idle", b=B, room=64, kv_capacity=10_000)


def worker(id: str, **values: Any) -> WorkerView:
    return WorkerView(id, **{"b": B, "room": 64, "kv_capacity": 10_000, **values})


def choose(
    policy: str,
    *workers: WorkerView,
    tokens: int = 10,
    matched: tuple[int, ...] = (),
    routers: int = 1,
    now: float = 0.0,
    rng: random.Random | None = None,
    **routing: Any,
) -> RoutingChoice:
    fleet = Fleet.of(workers, now=now, routers=routers)
    found = np.zeros(len(fleet.ids))
    found[: len(matched)] = matched
    request = RoutingRequest("r", tokens, found, **routing)
    return policy_named(policy)(request, fleet, rng or random.Random(1))


def chosen(policy: str, *workers: WorkerView, rounds: int = 1, **known: Any) -> Counter[str]:
    """Who gets how many of the rounds, in which nothing changes but the turn and chance."""
    rng = random.Random(1)
    choices = [choose(policy, *workers, rng=rng, ordinal=n, **known) for n in range(rounds)]
    return Counter(workers[choice.row].id for choice in choices)


def only(policy: str, *workers: WorkerView, **known: Any) -> str:
    """The one who gets all."""
    (name,) = chosen(policy, *workers, rounds=20, **known)
    return name


def expected(*workers: WorkerView, **known: Any) -> str:
    return only("expected-latency", *workers, **known)


# Every policy


@pytest.mark.parametrize("policy", POLICIES)
def test_one_worker_is_enough(policy: str) -> None:
    assert only(policy, worker("busy", todo=900, running=4, waiting=3)) == "busy"


@pytest.mark.parametrize("policy", POLICIES)
def test_who_is_not_ready_gets_nothing(policy: str) -> None:
    """Whether it drains or has never reported."""
    busy, away = worker("busy", todo=900, running=4), worker("away", ready=False)

    assert only(policy, away, busy) == "busy"


@pytest.mark.parametrize("policy", POLICIES)
def test_with_nobody_ready_there_is_no_choice(policy: str) -> None:
    with pytest.raises(NoCandidate):
        choose(policy, worker("away", ready=False))


@pytest.mark.parametrize("policy", POLICIES)
def test_where_a_request_has_been_it_goes_only_if_it_must(policy: str) -> None:
    busy = worker("busy", todo=900, running=4)

    assert only(policy, IDLE, busy, avoid=frozenset({0})) == "busy"
    assert only(policy, IDLE, avoid=frozenset({0})) == "idle"


@pytest.mark.parametrize("policy", POLICIES)
def test_a_choice_changes_nothing_and_says_why(policy: str) -> None:
    """A value of every term for every candidate, in their order."""
    fleet = Fleet.of([IDLE, worker("two"), worker("away", ready=False)])
    before = repr(fleet)
    choice = policy_named(policy)(RoutingRequest("r", 9, np.zeros(3)), fleet, random.Random(1))

    assert repr(fleet) == before
    assert choice.reason
    assert list(choice.rows) == [0, 1]
    assert {len(term) for term in choice.terms.values()} <= {2}


@pytest.mark.parametrize("policy", sorted(set(POLICIES) - {"round-robin", "consistent-hash"}))
def test_equals_share(policy: str) -> None:
    """An idle cluster fills evenly, although every router sees the same."""
    counts = chosen(policy, *(worker(name) for name in "abcd"), rounds=400)

    assert min(counts[name] for name in "abcd") > 60


def test_an_unknown_policy_names_the_known() -> None:
    known = ", ".join(sorted(POLICIES))
    with pytest.raises(ValueError, match=f"'magic' is not known; known are {known}"):
        policy_named("magic")


def test_the_default_is_one_of_them() -> None:
    assert DEFAULT == "expected-latency" in POLICIES


# The simple ones


def test_round_robin_takes_turns() -> None:
    workers = [worker(name) for name in "abc"]
    rows = [choose("round-robin", *workers, ordinal=ordinal).row for ordinal in range(5)]

    assert rows == [0, 1, 2, 0, 1]


def test_least_tokens_counts_what_is_on_its_way() -> None:
    """Which no report knows."""
    sent, told = worker("sent", todo=10, pending=50), worker("told", todo=40)

    assert only("least-tokens", sent, told) == "told"


def test_least_tokens_weighs_tokens_before_requests() -> None:
    """A new request waits for prefills, not for decodes."""
    many, long = worker("many", running=9), worker("long", running=1, todo=5)

    assert only("least-tokens", many, long) == "many"
    assert only("least-tokens", many, worker("few", running=8)) == "few"


def test_power_of_two_never_takes_the_busiest_and_does_not_herd() -> None:
    """The best of all gets more than its share, but not everything."""
    workers = [worker(str(n), running=n) for n in range(8)]
    counts = chosen("power-of-two", *workers, rounds=400)

    assert counts["7"] == 0
    assert counts["0"] < 200
    assert counts["1"] > 40


def test_own_requests_count_before_a_report_knows_them() -> None:
    told, sent = worker("told", running=2), worker("sent", own_requests=3)

    assert only("power-of-two", told, sent) == "told"


# Prefix affinity


@pytest.mark.parametrize(
    ("why", "matched", "holder", "others", "taken"),
    [
        ("a long match wins", 60, 10, 30, "has it"),
        ("too little matches", 30, 10, 30, "free"),
        ("busier in proportion, by few requests", 60, 12, 2, "has it"),
        ("busier by many requests, not in proportion", 60, 130, 100, "has it"),
        ("much busier", 60, 80, 30, "free"),
    ],
)
def test_prefix_affinity(why: str, matched: int, holder: int, others: int, taken: str) -> None:
    """Of 100 tokens; one of four others is free to compute at once."""
    busy = [worker(f"w{n}", running=others, todo=9) for n in range(3)]
    has_it, free = worker("has it", running=holder, todo=5), worker("free", running=others)

    assert only("prefix-affinity", has_it, free, *busy, tokens=100, matched=(matched,)) == taken


def test_a_busy_holder_is_measured_against_all() -> None:
    """One idle worker in a large fleet does not make the holder too busy."""
    others = [worker(f"w{n}", running=30, todo=9) for n in range(30)]
    has_it = worker("has it", running=34, todo=9)

    assert only("prefix-affinity", has_it, IDLE, *others, tokens=100, matched=(90,)) == "has it"


def test_of_two_holders_the_less_busy() -> None:
    workers = worker("a", running=4), worker("b", running=2), worker("c")

    assert only("prefix-affinity", *workers, tokens=100, matched=(50, 50, 0)) == "b"


# Consistent hash


def test_a_session_stays() -> None:
    """Whoever routes it, and whatever the request; and sessions are spread."""
    workers = [worker(f"w{n}", running=2) for n in range(8)]
    places = [only("consistent-hash", *workers, session=str(session)) for session in range(200)]

    assert min(Counter(places).values()) > 8
    assert len(set(places)) == 8


def test_a_new_worker_moves_only_what_it_gets() -> None:
    before = [worker(f"w{n}", running=2) for n in range(7)]
    for session in map(str, range(50)):
        old = only("consistent-hash", *before, session=session)
        new = only("consistent-hash", *before, worker("new", running=2), session=session)

        assert new in (old, "new")


def test_beyond_its_share_and_a_quarter_the_next_one_gets_it() -> None:
    """Always the same next one."""
    workers = [worker(name, running=8) for name in "abcd"]
    first = only("consistent-hash", *workers, session="s")
    full = [worker(w.id, running=20 if w.id == first else 8) for w in workers]
    just = [worker(w.id, running=11 if w.id == first else 8) for w in workers]

    assert only("consistent-hash", *just, session="s") == first
    assert only("consistent-hash", *full, session="s") != first


def test_without_a_session_requests_are_spread() -> None:
    fleet = Fleet.of([worker(name) for name in "ab"])
    policy = policy_named("consistent-hash")
    rows = {
        policy(RoutingRequest(str(n), 9, np.zeros(2)), fleet, random.Random()).row
        for n in range(20)
    }

    assert rows == {0, 1}


# Expected latency


def test_a_prefix_saves_its_prefill() -> None:
    """Ten tokens cost a second: a holder may be as busy as what it saves, not busier."""
    holder = worker("holder", running=1, todo=200)  # step of 64 runs 6.4 s; 136 wait 13.6 s

    assert expected(holder, IDLE, tokens=900, matched=(600,)) == "holder"
    assert expected(holder, IDLE, tokens=900, matched=(50,)) == "idle"


def test_where_a_target_cuts_prefills_short_the_first_token_comes_later() -> None:
    """Each of its steps carries the decodes again, whatever a full step could compute."""
    short, long = (worker(id, a=1.0, running=4, decoding=4, room=room) for id, room in
                   (("short", 4), ("long", 60)))  # fmt: skip

    assert expected(short, long, tokens=40) == "long"


def test_what_the_running_step_prefills_is_not_waited_for_twice() -> None:
    """`todo` is from the step's begin: near its end only the rest is left."""
    nearly_done = worker("nearly done", running=1, todo=64, step_began=-6.3)
    beginning = worker("beginning", running=1, todo=20, step_began=0.0)

    assert expected(nearly_done, beginning) == "nearly done"


def test_a_late_report_drains_the_queue() -> None:
    """A step that must have ended since was followed by others."""
    late = worker("late", running=1, todo=164, step_began=-16.0)  # 96 tokens, 9.6 s since its end
    fresh = worker("fresh", running=1, todo=84, step_began=-6.0)

    assert expected(late, fresh) == "late"


def test_an_idle_worker_with_pending_ones_is_at_work() -> None:
    """What was sent since it was idle began at once, and is done by and by."""
    just, long_ago = worker("just", pending=50), worker("long ago", pending=50, pending_since=-4.9)

    assert expected(just, long_ago) == "long ago"
    assert expected(just, IDLE) == "idle"


def test_a_slow_worker_gets_what_is_worth_it() -> None:
    slow, fast = worker("slow", b=3 * B), worker("fast", pending=15)

    assert expected(slow, fast) == "fast"
    assert expected(slow, worker("fast", pending=60)) == "slow"


def test_who_has_not_learned_its_pace_counts_as_the_others() -> None:
    """Not as one that computes for nothing."""
    unknown, known = worker("unknown", b=0.0, pending=20), worker("known", pending=10)

    assert expected(unknown, known) == "known"
    assert expected(worker("unknown", b=0.0), known) == "unknown"


def test_where_nobody_has_learned_the_queue_decides() -> None:
    assert (
        expected(worker("long", b=0.0, pending=900), worker("short", b=0.0, pending=9)) == "short"
    )


@pytest.mark.parametrize("kv", [9_900, 10_000, 30_000])
def test_full_pages_are_avoided_at_last(kv: int) -> None:
    """At and beyond the brim, where the hyperbola has its pole, the price goes on growing."""
    decodes = worker("decodes", running=1, decoding=1, c=0.1)  # a step of 0.1 s runs

    assert expected(worker("full", kv=kv), decodes) == "decodes"
    assert expected(worker("half full", kv=5_000), decodes) == "half full"


def test_the_fuller_costs_more() -> None:
    kv_term = choose("expected-latency", *(worker("w", kv=kv) for kv in range(0, 30_000, 500)))

    assert (np.diff(kv_term.terms["kv_term"]) > 0).all()


@pytest.mark.parametrize(
    ("pending", "joined"),
    [(0, 0), (64, 0), (32, 20), (54, 10), (70, 20)],
)
def test_joining_somebodys_last_step_has_a_price(pending: int, joined: int) -> None:
    """20 tokens after `pending` ones, 64 a step: as far as they fit into the last step of those,
    half of their time is charged for the delay."""
    terms = choose("expected-latency", worker("w", pending=pending), tokens=20).terms

    assert terms["sharing"] == pytest.approx([0.5 * B * joined])


@pytest.mark.parametrize("scale", [1, 10])
def test_who_decodes_there_has_a_price(scale: int) -> None:
    """By how many they are against the mean, whether the cluster is full or not."""
    workers = [worker(str(n), running=1, decoding=scale * n) for n in (2, 4, 6)]
    terms = choose("expected-latency", *workers, tokens=20).terms

    assert terms["work"] == pytest.approx(20 * B * (2 + 0.12 * np.array([0.5, 1, 1.5])))


def test_the_last_who_decodes_is_not_priced_like_a_crowd() -> None:
    """A mean below one counts as one."""
    idle = [worker(str(n)) for n in range(3)]
    terms = choose("expected-latency", worker("last", running=1, decoding=1), *idle).terms

    assert terms["work"] == pytest.approx(10 * B * np.array([2.12, 2, 2, 2]))


def test_of_equals_those_who_decode_are_left_alone() -> None:
    """Their tokens would come later by as much as the prefill takes."""
    talking, silent = worker("talking", running=2, decoding=2), worker("silent", running=2)

    assert expected(talking, silent) == "silent"
    assert expected(talking, worker("silent", running=2, pending=9)) == "talking"


def test_the_cost_is_the_sum_of_its_terms() -> None:
    busy = worker("busy", running=3, decoding=2, context=400, todo=90, pending=12, a=0.2, kv=3000)
    terms = choose("expected-latency", busy, IDLE, matched=(4, 0), now=1.0).terms
    parts = sum(terms[name] for name in ("ttft", "work", "sharing", "kv_term"))

    assert terms["cost"] == pytest.approx(parts)
    assert list(terms["uncached"]) == [6, 10]


def test_one_router_takes_the_minimum() -> None:
    """And several share among those that are nearly as good: or all would run to one worker."""
    best, near, far = IDLE, worker("near", kv=4_000), worker("far", pending=9)

    assert expected(best, near, far, routers=1) == "idle"
    assert set(chosen("expected-latency", best, near, far, rounds=40, routers=4)) == {
        "idle",
        "near",
    }


def test_among_near_equals_the_one_with_fewest_of_its_own() -> None:
    mine, not_mine = worker("mine", own_tokens=100), worker("not mine", kv=4_000, own_tokens=9)

    assert expected(mine, not_mine, routers=4) == "not mine"


def test_among_near_equals_most_of_the_prompt_comes_first() -> None:
    """Whatever its own: prefixes stay together."""
    holder, other = worker("holder", pending=4, own_tokens=100), worker("other")

    assert expected(holder, other, tokens=500, matched=(9,), routers=4) == "holder"
    assert expected(holder, other, tokens=500, routers=4) == "other"


# With the books


def test_a_burst_between_two_reports_spreads() -> None:
    """What was sent counts at once, before any report knows it, and no longer when one does."""
    ledger, policy, rng = Ledger(), policy_named(DEFAULT), random.Random(1)
    load = Load(pages_total=1000, step_tokens=64, prefill_room=64, pace=StepTime(b=B))
    for name in "abc":
        ledger.opened(name)
        ledger.report(name, load, age_s=0.0, received=0, routers=1, now=0.0)

    def route(number: int) -> str:
        request = RoutingRequest(f"r{number}", 30, np.zeros(len(ledger.fleet.ids)), ordinal=number)
        name = ledger.fleet.ids[policy(request, ledger.fleet, rng).row]
        ledger.sent(name, request.id, 30, 30, now=0.0)
        return name

    assert Counter(route(number) for number in range(9)) == {"a": 3, "b": 3, "c": 3}

    ledger.report("b", load, age_s=0.0, received=3, routers=1, now=0.0)

    assert [route(9), route(10), route(11)] == ["b", "b", "b"]
