"""Looks again and again whether a run is as private as it was at its start: what Serve starts later
makes files and sockets, too.

What is open by its mode is closed. Who listens where others come by is ended: who looks after it
starts another one. What cannot be closed is the end of the run.
"""

import time
from collections.abc import Callable
from pathlib import Path

from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.startup.open_doors import said_of, unexpected
from raylax.cluster.startup.privacy import close_again, found_open, outside
from raylax.cluster.startup.sockets import open_sockets
from raylax.cluster.supervision.decision import Kill, Member
from raylax.cluster.supervision.processes import arguments_of
from raylax.cluster.supervision.roles import role_of
from raylax.cluster.supervision.supervisor import ClusterDied

LOOK_EVERY_S = 10.0
Door = tuple[int, str]
"""Who listens, and where."""


class PrivacyWatch:
    """Of one run. Used by one thread."""

    def __init__(
        self,
        directory: Path,
        config: ClusterConfig,
        pids: Callable[[], set[int]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`pids`: all living processes of the run."""
        self._directory, self._config, self._pids, self._clock = directory, config, pids, clock
        self._due = clock() + LOOK_EVERY_S  # the start has looked
        self._doors: set[Door] = set()

    def look(self, tell: Callable[[str], None]) -> list[Kill]:
        """Now and then: closes, and says so; gives who is to be ended. Raises ClusterDied for what
        stays open."""
        if self._clock() < self._due:
            return []
        self._due = self._clock() + LOOK_EVERY_S
        pids = self._pids()
        for closed in close_again(self._directory, pids):
            tell(f"{closed} was open to other users; it is closed again")
        before, self._doors = self._doors, self._open_doors(pids)
        stay = self._doors & before  # what a library opens for a moment has gone
        if left := found_open(self._directory, ()):
            raise ClusterDied(f"not private to this user any more: {'; '.join(left)}")
        return [
            Kill(Member(pid, role_of(arguments_of(pid))), f"others may reach it: {where}")
            for pid, where in sorted(stay)
        ]

    def _open_doors(self, pids: set[int]) -> set[Door]:
        found = unexpected(self._config, open_sockets(pids))
        sockets = outside(self._directory, pids)
        return {
            *((one.pid, said_of(one)) for one in found),
            *((pid, f"{path} lies outside the run's directory") for path, pid in sockets.items()),
        }
