"""The living processes of a run, looked at often, which must cost next to nothing.

To find who is new takes a look at every process of the machine; that is done now and then.
"""

from collections.abc import Callable
from pathlib import Path

from raylax.cluster.supervision.processes import (
    PROC,
    Process,
    all_processes,
    below,
    collect,
    look_up,
)

FIND_EVERY_S = 5.0


class Descendants:
    """Of one process, `root`, which adopts orphans: none is lost to it. Used by one thread."""

    def __init__(
        self, root: int, driver: int, clock: Callable[[], float], proc: Path = PROC
    ) -> None:
        """`driver`: a child for which somebody else waits."""
        self._root, self._driver, self._clock, self._proc = root, driver, clock, proc
        self._known: list[Process] = []
        self._due = clock()

    def living(self) -> list[Process]:
        """As they are now; those that are new may be missing for a while."""
        if self._clock() >= self._due:
            self._due = self._clock() + FIND_EVERY_S
            everything = all_processes(self._proc)
            ours = below(self._root, everything)
            self._known = [one for one in everything if one.pid in ours]
            collect(self._known, self._root, self._driver)
        else:
            now = [(one, look_up(one.pid, self._proc)) for one in self._known]
            self._known = [it for one, it in now if it is not None and it.started == one.started]
        return [one for one in self._known if not one.ended]
