"""Looks after a run while it serves, and does what is decided."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from raylax.cluster.errors import ClusterLost
from raylax.cluster.supervision.decision import Kill, Member, StartAgain, decide
from raylax.cluster.supervision.departures import Departures, killed_for_memory
from raylax.cluster.supervision.descendants import Descendants
from raylax.cluster.supervision.front_door import FrontDoor
from raylax.cluster.supervision.observer import Observer
from raylax.cluster.supervision.processes import arguments_of
from raylax.cluster.supervision.roles import role_of

LOOK_EVERY_S = 0.5


class ClusterDied(ClusterLost):
    """It did serve, and has lost a part that it cannot do without."""


class Supervisor:
    """Of one run, from the moment at which it serves. Used by one thread."""

    def __init__(
        self,
        front_door: FrontDoor,
        driver: int,
        zygote: Callable[[], int],
        start_s: float,
        tell: Callable[[str], None],
        trouble: Callable[[Member], str],
    ) -> None:
        """`driver`: its pid; whoever started it notices its end, and the one of the `zygote`, whose
        pid is another one then. `start_s`: how long a worker may
        take to start. `tell`: says a line to people. `trouble`: the last error in a process's
        log."""
        self._front_door, self._start_s, self._tell = front_door, start_s, tell
        self._members = Descendants(os.getpid(), driver, time.monotonic)
        members, role = self._members.living(), lambda pid: role_of(arguments_of(pid))
        self._observer = Observer(members, role, os.getpid(), driver, zygote)
        self._departures = Departures(role, trouble, killed_for_memory)
        self._departures.seen(members)

    def look(self) -> None:
        """Look once, and put right what can be. Raises ClusterDied for what cannot."""
        answers, now = self._front_door.answers, time.monotonic()
        members = self._members.living()
        seen = self._observer.observe(members, answers, now)
        for line in self._departures.seen(members):
            self._tell(line)
        decision = decide(seen, self._start_s)
        if isinstance(decision, StartAgain):
            raise ClusterDied(decision.why)
        for kill in decision:
            self.end(kill)

    def end(self, kill: Kill) -> None:
        """Ends a process, and says why."""
        self._tell(f"{kill.member} was ended: {kill.why}")
        self._departures.forget(kill.member)
        with suppress(ProcessLookupError):
            os.kill(kill.member.pid, signal.SIGKILL)
