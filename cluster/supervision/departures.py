"""Notices who of a run's processes has ended, and says why as far as it can be known."""

from collections.abc import Callable, Iterable
from pathlib import Path

from raylax.cluster.supervision.decision import Member
from raylax.cluster.supervision.observer import Name, name_of
from raylax.cluster.supervision.processes import Process
from raylax.cluster.supervision.roles import Role

TOLD = frozenset({Role.ROUTER, Role.WORKER, Role.SHARD, Role.METRICS, Role.CONTROLLER})
"""Of whose end people are told: Ray or Serve starts another one where one is wanted. HAProxy has a
new process for each change; the others are vital."""
VMSTAT = Path("/proc/vmstat")
LONGEST = 300
"""Characters of a reason."""


class Departures:
    """Of one run. Used by one thread, which calls `seen` with each look."""

    def __init__(
        self,
        role: Callable[[int], Role],
        trouble: Callable[[Member], str],
        killed_for_memory: Callable[[], int],
    ) -> None:
        """`role`: of the process of this pid, OTHER as long as it is not known. `trouble`: the last
        error in a process's log. `killed_for_memory`: how many the kernel has ended so far."""
        self._role, self._trouble, self._count = role, trouble, killed_for_memory
        self._known: dict[Name, Member] = {}
        self._killed = killed_for_memory()

    def seen(self, members: Iterable[Process]) -> list[str]:
        """A line for each that has ended since the last look."""
        there = {name_of(one) for one in members}
        gone = [member for name, member in self._known.items() if name not in there]
        self._known = {name: one for name, one in self._known.items() if name in there}
        for pid, started in there - self._known.keys():
            if (role := self._role(pid)) in TOLD:
                self._known[pid, started] = Member(pid, role)
        killed, self._killed = self._killed, self._count()
        return [f"{one} has ended: {self._why(one, self._killed - killed)}" for one in gone]

    def forget(self, member: Member) -> None:
        """It was ended by us, and people have been told."""
        self._known = {name: one for name, one in self._known.items() if name[0] != member.pid}

    def _why(self, member: Member, killed: int) -> str:
        if killed > 0:
            return "the kernel has killed processes for want of memory, the largest first"
        if trouble := self._trouble(member):
            return trouble if len(trouble) <= LONGEST else f"{trouble[: LONGEST - 3]}..."
        return "it was killed, or not wanted any more; there is no error in its log"


def killed_for_memory(vmstat: Path = VMSTAT) -> int:
    """How many processes of this machine the kernel has ended since it runs, so that others had
    memory; 0 where it does not say."""
    try:
        lines = vmstat.read_text().splitlines()
    except OSError:
        return 0
    counts = [line.split()[1] for line in lines if line.startswith("oom_kill ")]
    return int(counts[0]) if counts else 0
