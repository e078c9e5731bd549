"""Makes observations of what one look after another has found."""

from collections.abc import Callable, Iterable

from raylax.cluster.supervision.decision import Member, Observation
from raylax.cluster.supervision.front_door import Answers
from raylax.cluster.supervision.processes import STOPPED, Process
from raylax.cluster.supervision.roles import VITAL, Role

Name = tuple[int, int]
"""Of a process: its pid and when it started."""


class Observer:
    """Remembers of one run who was vital when it began to serve, and since when who has been
    stopped, or without a parent."""

    def __init__(
        self,
        members: Iterable[Process],
        role: Callable[[int], Role],
        root: int,
        driver: int,
        zygote: Callable[[], int],
    ) -> None:
        """`role`: of the process of this pid. `root`: who has the orphans for children, and only
        two other ones: the `driver`, and the `zygote` as it is now, whose own children need no
        parent, as their raylet looks after them."""
        self._role, self._root, self._driver, self._zygote = role, root, driver, zygote
        self._forked = set[Name]()
        self._orphaned: dict[Name, float] = {}
        self._vital: dict[Name, Member] = {
            name_of(one): Member(one.pid, found)
            for one in members
            if (found := role(one.pid)) in VITAL
        }
        self._stopped: dict[Name, float] = {}

    def observe(self, members: Iterable[Process], answers: Answers, now: float) -> Observation:
        """What is known, `now` on any clock that goes on: the living `members` of the run, and what
        its front door has answered."""
        there = {name_of(one): one for one in members}
        stopped = [name for name, one in there.items() if one.state == STOPPED]
        self._stopped = {name: self._stopped.get(name, now) for name in stopped}
        own = (self._driver, zygote := self._zygote())
        self._forked &= there.keys()
        self._forked |= {name for name, one in there.items() if one.parent == zygote}
        orphans = [
            name
            for name, one in there.items()
            if one.parent == self._root and one.pid not in own and name not in self._forked
        ]
        self._orphaned = {name: self._orphaned.get(name, now) for name in orphans}
        return Observation(
            tuple(
                Member(pid, self._role(pid), now - since)
                for (pid, _), since in self._stopped.items()
            ),
            tuple(
                Member(pid, self._role(pid), orphaned_s=now - since)
                for (pid, _), since in self._orphaned.items()
            ),
            tuple(member for name, member in self._vital.items() if name not in there),
            0.0 if answers.silent_since is None else now - answers.silent_since,
            0.0 if answers.idle_since is None else now - answers.idle_since,
        )


def name_of(process: Process) -> Name:
    """What tells it from a later one with the same pid."""
    return process.pid, process.started
