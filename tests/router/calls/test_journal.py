"""Which request is suspected of the loss of its workers, and how one goes on elsewhere."""

from typing import Any

from raylax.proto.vocabulary import Delta, Request
from raylax.proto.wire.messages import Resumption
from raylax.router.calls.journal import Journal, JournalEntry
from raylax.router.observe.timeline import Outcome, Timeline
from raylax.router.workers.inbox import WorkerLost


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


def test_a_request_goes_on_after_its_last_token_in_the_time_that_is_left() -> None:
    """The request itself stays what it was."""
    one = entry()
    one.record(Delta("r", (5, 6)))
    one.record(Delta("r", (7,)))

    assert one.resumption(now=4.0, pages_at="w:1") == Resumption((5, 6, 7), 5.0, "w:1")
    assert one.resumption(now=99.0).deadline_s == 0.001
    assert one.request == Request("r", (1,), 9)


def running(id: str, arrived: float) -> JournalEntry:
    """A request of a call that came then."""
    nobody: Any = None
    timeline = Timeline(f"call-{id}", lambda: arrived)
    return JournalEntry(Request(id, (1,), 9), nobody, timeline, deadline=9.0)


def test_the_oldest_are_those_whose_calls_came_first() -> None:
    """Whenever their requests began."""
    journal = Journal()
    for id, arrived in [("b", 2.0), ("d", 4.0), ("a", 1.0), ("c", 3.0)]:
        journal.begin(running(id, arrived))

    assert [one.request.id for one in journal.oldest(3)] == ["a", "b", "c"]


def test_a_requests_phase_is_as_far_as_it_has_come() -> None:
    """Also after it was moved: it is queued at the next worker, but goes on where it was."""
    one = running("r", 0.0)
    phases = [one.phase]
    one.workers = ["w0"]
    one.timeline.sent("r", "w0")
    phases.append(one.phase)
    one.timeline.began("r", "w0")
    phases.append(one.phase)
    one.timeline.left("r", "w0", Outcome.LOST)
    one.workers = ["w1"]
    one.timeline.sent("r", "w1")
    phases.append(one.phase)
    one.record(Delta("r", (5,)))
    phases.append(one.phase)

    assert phases == ["waits", "queued", "prefill", "queued", "decode"]
