"""Policies are tables: who is chosen, given what is known."""

import pytest

from raylax.proto.vocabulary import Load
from raylax.router.ledger import Ledger
from raylax.router.policies import POLICIES, policy_named
from raylax.router.policy import Routing, WorkerView

IDLE, BUSY = WorkerView("idle"), WorkerView("busy", queued_tokens=900, requests=4)
ALSO_IDLE = WorkerView("idle too")


def chosen(policy: str, *workers: WorkerView, rounds: int = 6) -> list[str]:
    decide = policy_named(policy).choose
    return [decide(Routing("r", 10, ordinal), workers).worker for ordinal in range(rounds)]


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_one_worker_is_enough(policy: str) -> None:
    assert chosen(policy, BUSY, rounds=2) == ["busy", "busy"]


def test_round_robin_takes_turns() -> None:
    assert chosen("round-robin", IDLE, BUSY, rounds=4) == ["idle", "busy", "idle", "busy"]


def test_least_load_avoids_the_busy_and_shares_among_equals() -> None:
    assert chosen("least-load", BUSY, IDLE, ALSO_IDLE, rounds=4) == ["idle", "idle too"] * 2


def test_least_load_weighs_waiting_tokens_before_requests() -> None:
    """A new request waits for prefills, not for decodes."""
    many = WorkerView("many", queued_tokens=0, requests=9)

    assert set(chosen("least-load", many, BUSY)) == {"many"}


def test_an_unknown_policy_names_the_known() -> None:
    with pytest.raises(ValueError, match="'magic' is not known; known are least-load, round-robin"):
        policy_named("magic")


def test_a_burst_between_two_reports_spreads() -> None:
    """What was just sent counts before the worker has reported it."""
    ledger, policy = Ledger(), policy_named("least-load")
    for worker in ("a", "b"):
        ledger.open(worker)
        ledger.report(worker, Load(), now=0.0)
    taken = []
    for i in range(6):
        worker = policy.choose(Routing(f"r{i}", 50, i), ledger.views()).worker
        ledger.sent(worker, f"r{i}", 50)
        taken.append(worker)

    assert sorted(taken) == ["a"] * 3 + ["b"] * 3


def test_the_books_forget_what_has_ended() -> None:
    ledger = Ledger()
    ledger.open("a")
    ledger.sent("a", "r", 50)
    assert ledger.views() == [WorkerView("a", queued_tokens=50, requests=1)]
    ledger.answered("a", "r")
    assert ledger.views() == [WorkerView("a", queued_tokens=0, requests=1)]
    ledger.ended("a", "r")
    assert ledger.views() == [WorkerView("a")]
    ledger.close("a")
    assert ledger.views() == []
