"""The zygote: a process that has imported what Ray's workers import, and forks them.

Run as a module with the number of a socket that listens, and the names of modules. Those before a
lone `-` are imported before anybody gets a worker, and those behind it while nobody waits. It ends
when its input does, or is killed as everything of a run.

It has one thread, and must: a child has only the thread that forked, and what another one held
stays locked. It has Ray's variables as the workers will have them: most are read when Ray is
imported.
"""

import gc
import os
import resource
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib import import_module

from raylax.cluster.environment import NO_CORE_FILES
from raylax.cluster.zygote.becoming import Asked, become, read

TITLE = "raylax::Zygote"
AND_THEN = "-"
RAYS, ANY = "RAY_", "RAY_RAYLET_PID"
"""How Ray's variables begin, and the one that may differ: a worker ends when that process does."""
INPUT = 0
PATIENCE_S = 10.0
"""For a question: who asks sends it at once."""


def main(arguments: list[str]) -> None:
    """Returns at the end of the run, and in a child when its worker has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to everybody
    resource.setrlimit(resource.RLIMIT_CORE, (NO_CORE_FILES, NO_CORE_FILES))
    number, *modules = arguments
    cut = modules.index(AND_THEN)
    with socket.socket(fileno=int(number)) as listener:
        asked = Zygote(listener).fork(modules[:cut], modules[cut + 1 :])
    if asked is not None:
        become(asked)


class Zygote:
    """Used by one thread, which forks: what `fork` returns differs from child to child."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._pid, self._children = os.getpid(), set[int]()
        self._variables = dict(os.environ)  # before libraries have set some
        self._is_spoiled = False
        signal.signal(signal.SIGCHLD, lambda number, frame: self._collect())

    def fork(self, first: Iterable[str], then: Iterable[str]) -> Asked | None:
        """Imports, and forks for all who ask. In a child what it is to become; None when our input
        has ended."""
        from ray._raylet import setproctitle  # type: ignore[attr-defined]

        from raylax.cluster.zygote.names import children_draw_alike, seed_nothing

        setproctitle(TITLE)
        seed_nothing()
        for name in first:
            import_module(name)
        self._is_spoiled = children_draw_alike()
        for name in then:
            if (asked := self._serve(0.0)) is not None:
                return asked
            import_module(name)
        self._is_spoiled = children_draw_alike()
        gc.collect()
        gc.freeze()
        return self._serve(None)

    def _serve(self, wait_s: float | None) -> Asked | None:
        """Until nobody has asked within this time, or our input has ended."""
        asks = self._listener.fileno()
        while ready := select.select([asks, INPUT], [], [], wait_s)[0]:
            if asks not in ready:
                break  # nobody writes there
            connection, _ = self._listener.accept()
            with connection:
                try:
                    if (asked := self._answer(connection)) is not None:
                        return asked
                except (OSError, ValueError, KeyError) as error:  # who asked starts it, or has gone
                    print(f"not forked: {error}", file=sys.stderr, flush=True)
        return None

    def _answer(self, connection: socket.socket) -> Asked | None:
        connection.settimeout(PATIENCE_S)
        asked = read(connection)
        try:
            if self._is_spoiled:
                raise ValueError("a library has drawn a name, and all children would draw the next")
            check(asked, self._variables)
            if (pid := os.fork()) == 0:
                return asked.beside(self._variables)
        finally:
            if os.getpid() == self._pid:
                for file in asked.files:
                    os.close(file)
        self._children.add(pid)
        self._collect()  # it may have ended already
        connection.sendall(b"+")
        return None

    def _collect(self) -> None:
        """Let go of those that have ended."""
        for pid in [*self._children]:
            with suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG) == (0, 0):
                    continue
            self._children.discard(pid)


def check(asked: Asked, ours: Mapping[str, str]) -> None:
    """Raises ValueError for what a child of ours cannot become, with the variables that we had."""
    told = asked.environment
    both = {name for name in (*ours, *told) if name.startswith(RAYS)} - {ANY}
    if others := sorted(name for name in both if ours.get(name) != told.get(name)):
        raise ValueError(f"Ray has been imported with other values of {', '.join(others)}")
    if threading.active_count() > 1:
        raise ValueError("a library has begun a thread")


if __name__ == "__main__":
    main(sys.argv[1:])
