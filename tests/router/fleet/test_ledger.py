"""The books follow reports, and add what was sent since."""

import pytest

from raylax.proto.vocabulary import Load, StepTime
from raylax.router.fleet.ledger import Ledger

BUSY = Load(
    running=3, waiting=1, queued_tokens=100, decoding=2, context_tokens=90, step_tokens=64,
    prefill_room=20, pages_total=40, pages_free=20, pages_cached=4, step=7,
    pace=StepTime(0.01, 0.001, 0.002, 1e-6),
)  # fmt: skip


def reported(ledger: Ledger, load: Load = BUSY, received: int = 0, now: float = 10.0) -> None:
    ledger.report("w", load, age_s=0.5, received=received, routers=2, now=now)


@pytest.fixture
def ledger() -> Ledger:
    made = Ledger()
    made.opened("w")
    return made


def test_a_worker_is_not_ready_before_its_first_report(ledger: Ledger) -> None:
    assert not ledger.fleet.view("w").ready
    reported(ledger)

    assert ledger.fleet.view("w").ready


def test_a_report_becomes_a_row(ledger: Ledger) -> None:
    reported(ledger)
    view = ledger.fleet.view("w")

    assert (view.todo, view.decoding, view.context, view.room) == (100, 2, 90, 20)
    assert (view.kv, view.kv_capacity) == (16 * 16 + 100, 640)
    assert (view.a, view.b, view.c, view.d) == (0.01, 0.001, 0.002, 1e-6)
    assert (view.step_began, ledger.fleet.routers) == (9.5, 2)


def test_what_was_sent_counts_until_a_report_knows_it(ledger: Ledger) -> None:
    """By the number of the dispatch, not by the time of the report."""
    reported(ledger)
    sent = [ledger.sent("w", f"r{i}", 10 * (i + 1), 50, now=11.0 + i) for i in range(3)]

    assert sent == [1, 2, 3]
    assert ledger.fleet.view("w").pending == 60
    assert (ledger.fleet.view("w").pending_kv, ledger.fleet.view("w").pending_since) == (150, 11)
    reported(ledger, received=2, now=15.0)
    assert ledger.fleet.view("w").pending == 30
    assert ledger.fleet.view("w").pending_since == 13.0
    reported(ledger, received=3, now=15.0)
    assert (ledger.fleet.view("w").pending, ledger.fleet.view("w").pending_kv) == (0, 0)


def test_own_requests_count_until_they_end(ledger: Ledger) -> None:
    reported(ledger)
    ledger.sent("w", "r", 10, 50, now=11.0)
    reported(ledger, received=1)

    assert (ledger.fleet.view("w").own_tokens, ledger.fleet.view("w").own_requests) == (50, 1)
    ledger.ended("w", "r")
    ledger.ended("w", "r")
    assert (ledger.fleet.view("w").own_tokens, ledger.fleet.view("w").own_requests) == (0, 0)


def test_a_draining_worker_is_not_ready(ledger: Ledger) -> None:
    reported(ledger, Load(draining=True))

    assert len(ledger.fleet.rows()) == 0


def test_a_worker_that_left_leaves_its_row(ledger: Ledger) -> None:
    reported(ledger)
    ledger.closed("w")
    reported(ledger)  # its last report, late

    assert len(ledger.fleet) == 0
    row = ledger.opened("another")
    assert (row, ledger.fleet.view("another").todo) == (0, 0)


def test_a_busy_worker_is_stuck_when_its_steps_do_not_count_on(ledger: Ledger) -> None:
    """Beyond four times what the step should take; an idle one never is."""
    expected = BUSY.pace.seconds(64, 2, 90)
    reported(ledger, now=10.0)
    reported(ledger, now=12.0)

    assert ledger.stuck_for("w", now=12.0) == pytest.approx(2.0 - 4 * expected)
    reported(ledger, Load(step=7), now=13.0)
    assert ledger.stuck_for("w", now=99.0) == 0.0


def test_rows_are_made_as_they_are_needed() -> None:
    ledger = Ledger()
    rows = [ledger.opened(f"w{i}") for i in range(100)]

    assert rows == list(range(100))
    assert len(ledger.fleet) == 100
