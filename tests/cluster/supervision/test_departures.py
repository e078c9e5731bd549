"""People are told who has ended, and why."""

from pathlib import Path

import pytest

from raylax.cluster.supervision.decision import Member
from raylax.cluster.supervision.departures import LONGEST, Departures, killed_for_memory
from raylax.cluster.supervision.processes import Process
from raylax.cluster.supervision.roles import Role

ROLES = {1: Role.ROUTER, 2: Role.WORKER, 3: Role.HAPROXY, 4: Role.OTHER}


def process(pid: int, started: int = 1) -> Process:
    return Process(pid, 0, "S", started)


class Run:
    """What the kernel and the logs say."""

    def __init__(self) -> None:
        self.roles, self.killed, self.trouble = dict(ROLES), 7, ""
        self.departures = Departures(
            self.roles.__getitem__, lambda one: self.trouble, lambda: self.killed
        )
        self.seen(1, 2, 3, 4)

    def seen(self, *pids: int) -> list[str]:
        return self.departures.seen(map(process, pids))


NOTHING_KNOWN = "it was killed, or not wanted any more; there is no error in its log"


@pytest.mark.parametrize(
    ("trouble", "killed", "why"),
    [
        ("", 0, NOTHING_KNOWN),
        ("the engine thread has failed", 0, "the engine thread has failed"),
        ("x" * 2 * LONGEST, 0, "x" * (LONGEST - 3) + "..."),
        ("Connection refused", 1, "the kernel has killed processes for want of memory"),
    ],
)
def test_the_reason_is_told_once(trouble: str, killed: int, why: str) -> None:
    run = Run()
    run.trouble = trouble
    run.killed += killed
    (line,) = run.seen(1, 3, 4)

    assert line.startswith(f"worker (pid 2) has ended: {why}")
    assert not run.seen(1, 3, 4)


def test_memory_that_was_short_before_is_no_reason() -> None:
    run = Run()
    run.killed += 1
    run.seen(1, 2, 3, 4)

    assert run.seen(2, 3, 4) == [f"router (pid 1) has ended: {NOTHING_KNOWN}"]


def test_a_process_that_is_given_its_role_later() -> None:
    """As Ray's are, which wait for one."""
    run = Run()
    run.roles[4] = Role.WORKER
    assert not run.seen(1, 2, 3, 4)

    assert len(run.seen(1, 2, 3)) == 1


def test_of_haproxy_and_of_those_whom_we_ended_nothing_more_is_said() -> None:
    run = Run()
    run.departures.forget(Member(2, Role.WORKER))

    assert not run.seen(1)


def test_the_kernels_count(tmp_path: Path) -> None:
    (tmp_path / "vmstat").write_text("nr_free_pages 9\noom_kill 7\noom_kill_other 3\n")
    assert killed_for_memory(tmp_path / "vmstat") == 7
    assert killed_for_memory(tmp_path / "none") == 0
