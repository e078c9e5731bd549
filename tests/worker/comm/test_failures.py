"""A group ends for all of its ranks, in time, and says whose fault it is."""

import signal
import time
from typing import Any

import numpy as np
import pytest

from raylax.worker.comm.errors import CommAborted, CommError, CommTimeout
from tests.support import comm_work as work
from tests.support.comm_groups import (
    FORMERS,
    Group,
    Pool,
    group_of,
)
from tests.support.comm_ranks import until

BACKENDS = list(FORMERS)
ACROSS_PROCESSES = ["shared", "tcp"]
"""Where threads would only wait as long for the same: they share the code of shared memory."""
SHORT_S = 1.0
AT_ONCE_S = 5.0
"""Of deadlines of a minute; a busy machine may take its time."""


def wait_for_somebody(group: Group, ranks: list[int], what: str = "allreduce") -> None:
    """They begin a collective, and are seen in it."""
    if what == "allreduce":
        group.begin(work.allreduce, 10, "float32", ranks=ranks)
    else:
        group.begin(work.barrier, ranks=ranks)
    until(lambda: all(group.ranks[rank].aside(work.is_in, what) for rank in ranks))


def words(outcomes: list[Any]) -> list[str]:
    """Of exceptions, which all must be."""
    assert all(isinstance(outcome, CommError) for outcome in outcomes), outcomes
    return [str(outcome) for outcome in outcomes]


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_abort_frees_everybody_at_once(backend: str, pool: Pool) -> None:
    """From a third thread of one rank; a later collective, of a rank that was not in any, fails,
    too. The first reason stays."""
    with group_of(backend, 3, pool) as group:
        wait_for_somebody(group, [0, 1])
        begun = time.monotonic()
        group.ranks[0].aside(work.abort, "enough")
        group.ranks[0].aside(work.abort, "another reason")

        waiting = group.outcomes([0, 1])
        assert time.monotonic() - begun < AT_ONCE_S
        group.begin(work.barrier, ranks=[2])
        late = group.outcomes([2])
        again = group.outcomes_of(work.broadcast, 1, "int8", 0)

    assert {type(outcome) for outcome in (*waiting, *late, *again)} == {CommAborted}
    assert {outcome.reason for outcome in (*waiting, *late, *again)} == {"enough"}


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_message_that_nobody_sends_can_be_aborted(backend: str, pool: Pool) -> None:
    """By the rank that should have sent it."""
    with group_of(backend, 2, pool) as group:
        group.begin(work.receive, 1, 0, ranks=[1])
        until(lambda: group.ranks[1].aside(work.is_in, "recv"))
        group.ranks[0].aside(work.abort, "no message")

        assert words(group.outcomes([1])) == ["no message"]


@pytest.mark.parametrize("backend", ACROSS_PROCESSES)
def test_who_has_not_come_is_named(backend: str, pool: Pool) -> None:
    """With the number of the collective, on every rank that waited, and when they come at last."""
    with group_of(backend, 4, pool, SHORT_S) as group:
        group.run(work.barrier)
        group.begin(work.barrier, ranks=[0, 2])
        begun = time.monotonic()
        waited = group.outcomes([0, 2])
        took = time.monotonic() - begun
        group.begin(work.barrier, ranks=[1, 3])
        late = group.outcomes([1, 3])

    assert set(words(waited + late)) == {"ranks 1 and 3 did not come to collective 2 within 1 s"}
    timeouts = [outcome for outcome in waited if isinstance(outcome, CommTimeout)]
    assert {outcome.missing for outcome in timeouts} == {(1, 3)}
    assert 0.8 * SHORT_S < took < SHORT_S + AT_ONCE_S


@pytest.mark.parametrize("backend", ACROSS_PROCESSES)
def test_who_has_not_sent_is_named(backend: str, pool: Pool) -> None:
    with group_of(backend, 2, pool, SHORT_S) as group:
        group.begin(work.send, np.zeros(3, np.uint8), 1, ranks=[0])
        group.begin(work.receive, 3, 0, ranks=[1])
        assert not isinstance(group.outcomes()[1], Exception)
        group.begin(work.receive, 3, 0, ranks=[1])

        assert words(group.outcomes([1])) == ["rank 0 did not send message 2 within 1 s"]


@pytest.mark.parametrize("backend", ACROSS_PROCESSES)
def test_who_does_not_take_a_message_is_named(backend: str, pool: Pool) -> None:
    """Larger than what is on its way anywhere."""
    with group_of(backend, 2, pool, SHORT_S) as group:
        group.begin(work.send, np.zeros(20_000_000, np.uint8), 1, ranks=[0])

        assert words(group.outcomes([0])) == ["rank 1 did not take message 1 within 1 s"]


@pytest.mark.parametrize("backend", ACROSS_PROCESSES)
def test_a_stopped_rank_is_named(backend: str, pool: Pool) -> None:
    """And when it goes on, it learns that the group has ended."""
    with group_of(backend, 3, pool, SHORT_S) as group:
        group.run(work.barrier)
        group.ranks[1].signal(signal.SIGSTOP)
        begun = time.monotonic()
        group.begin(work.allreduce, 10, "float32")
        waited = group.outcomes([0, 2])
        took = time.monotonic() - begun
        group.ranks[1].signal(signal.SIGCONT)
        stopped = group.outcomes([1])
        again = group.outcomes_of(work.barrier)

    reason = "rank 1 did not come to collective 2 within 1 s"
    assert set(words(waited + stopped + again)) == {reason}
    assert took < SHORT_S + AT_ONCE_S


def test_a_killed_rank_is_named_at_once_by_tcp(pool: Pool) -> None:
    """Long before the deadline, because its connections end with it."""
    with group_of("tcp", 3, pool) as group:
        wait_for_somebody(group, [0, 2])
        begun = time.monotonic()
        group.ranks[1].signal(signal.SIGKILL)
        waited = group.outcomes([0, 2])
        took = time.monotonic() - begun
        again = [group.outcomes_of(work.barrier, ranks=[rank])[0] for rank in (0, 2)]

    assert {type(outcome) for outcome in waited + again} == {CommAborted}
    assert set(words(waited + again)) == {"rank 1 is gone"}
    assert took < AT_ONCE_S


def test_a_killed_rank_is_named_in_time_by_memory(pool: Pool) -> None:
    """Memory does not end with a process; deadlines do, or whoever watches it."""
    with group_of("shared", 3, pool, SHORT_S) as group:
        wait_for_somebody(group, [0, 2])
        group.ranks[1].signal(signal.SIGKILL)
        waited = group.outcomes([0, 2])

    assert set(words(waited)) == {"rank 1 did not come to collective 1 within 1 s"}


@pytest.mark.parametrize("backend", ACROSS_PROCESSES)
def test_a_rank_may_leave_when_all_have_what_they_need(backend: str, pool: Pool) -> None:
    """The last broadcast arrives although the root has closed at once; then it is missed."""
    with group_of(backend, 3, pool, SHORT_S) as group:
        group.begin(work.broadcast_and_close, 100_000, "float32", ranks=[0])
        group.begin(work.broadcast, 100_000, "float32", 0, ranks=[1, 2])
        arrived = group.outcomes()
        missed = words(group.outcomes_of(work.barrier, ranks=[1, 2]))
        closed = words(group.outcomes_of(work.barrier, ranks=[0]))

    for array in arrived[1:]:
        assert np.array_equal(array, work.brought(0, 100_000, "float32"))
    assert all("rank 0" in each for each in missed)
    assert closed == ["this communicator is closed"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_arrays_of_different_sizes_are_an_error_everywhere(backend: str, pool: Pool) -> None:
    """Instead of a sum of what does not belong together."""
    with group_of(backend, 2, pool) as group:
        group.run(work.barrier)
        group.ranks[0].begin(work.allreduce, 10, "float32")
        group.ranks[1].begin(work.allreduce, 12, "float32")
        said = set(words(group.outcomes()))
        again = set(words(group.outcomes_of(work.barrier)))

    assert said <= {
        "rank 1 came to collective 2 with 48 bytes, where rank 0 has 40",
        "rank 0 came to collective 2 with 40 bytes, where rank 1 has 48",
    }
    assert again <= said


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_message_of_another_size_is_an_error(backend: str, pool: Pool) -> None:
    with group_of(backend, 2, pool) as group:
        group.begin(work.send, np.zeros(3, np.uint8), 1, ranks=[0])
        group.begin(work.receive, 5, 0, ranks=[1])

        assert words(group.outcomes()[1:]) == [
            "rank 0 sent message 1 with 3 bytes, where rank 1 has 5"
        ]
