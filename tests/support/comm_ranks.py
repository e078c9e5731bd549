"""Ranks that do what a test tells them: threads, and processes that it may stop and kill.

A rank does one thing at a time, in a thread of its own; `aside` is done beside it.
"""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from typing import Any, Protocol

from raylax.worker.comm.base import Communicator
from raylax.worker.comm.shared_memory.segment import SharedMemory
from raylax.worker.comm.tcp.acceptor import Listener
from tests.support.paths import ROOT

PATIENCE_S = 30.0
CHILD = "from tests.support.comm_ranks import be_a_rank; be_a_rank()"
Outcome = tuple[bool, Any]
"""Whether it went well, and what came of it."""


class Seat:
    """What a rank holds between two works."""

    comm: Communicator
    memory: SharedMemory
    listener: Listener
    thread: int
    """Where its works are done."""


Work = Callable[..., Any]
"""Called with the seat, and arguments; of a module, so that it can be named to a process."""


def until(condition: Callable[[], object]) -> None:
    """Polls, with a deadline."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def attempt(work: Work, seat: Seat, arguments: tuple[Any, ...]) -> Outcome:
    """Whether a piece of work succeeded, and its value or its error."""
    try:
        return True, work(seat, *arguments)
    except Exception as error:
        return False, error


class Rank(Protocol):
    """A member of a group, wherever it runs."""

    spoiled: bool
    """It will not do as a rank of another group."""

    def begin(self, work: Work, *arguments: Any) -> None: ...

    def outcome(self) -> Any:
        """What the work begun last returned, or the exception that it raised."""
        ...

    def aside(self, work: Work, *arguments: Any) -> Any: ...

    def leave(self) -> None: ...


class ThreadRank:
    """A rank on a thread of the test's own process."""

    spoiled = False

    def __init__(self) -> None:
        self._seat = Seat()
        self._works: queue.Queue[tuple[Work, tuple[Any, ...]] | None] = queue.Queue()
        self._outcomes: queue.Queue[Outcome] = queue.Queue()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        self._seat.thread = threading.get_ident()
        for work, arguments in iter(self._works.get, None):
            self._outcomes.put(attempt(work, self._seat, arguments))

    def begin(self, work: Work, *arguments: Any) -> None:
        self._works.put((work, arguments))

    def outcome(self) -> Any:
        return self._outcomes.get(timeout=PATIENCE_S)[1]

    def aside(self, work: Work, *arguments: Any) -> Any:
        return work(self._seat, *arguments)

    def leave(self) -> None:
        self._works.put(None)  # one that is stuck ends with the process


class ProcessRank:
    """A rank in a process of its own, which a test may stop and kill."""

    spoiled = False

    def __init__(self) -> None:
        self._begun = False
        self._works, works = Pipe()
        self._asides, asides = Pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(works.fileno()), str(asides.fileno())],
            pass_fds=[works.fileno(), asides.fileno()],
            cwd=ROOT,
        )
        works.close()
        asides.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def begin(self, work: Work, *arguments: Any) -> None:
        assert not self._begun, "the outcome of the last work was not taken"
        self._begun = True
        self._works.send((work, arguments))

    def outcome(self) -> Any:
        self._begun = False
        return self._answer(self._works)

    def aside(self, work: Work, *arguments: Any) -> Any:
        self._asides.send((work, arguments))
        return self._answer(self._asides)

    def _answer(self, pipe: "Connection[Any, Any]") -> Any:
        assert pipe.poll(PATIENCE_S), "the rank does not answer"
        return pipe.recv()[1]

    def signal(self, number: signal.Signals) -> None:
        """And wait until it is dead, stopped or running again."""
        self.spoiled = True
        os.kill(self.pid, number)
        if number != signal.SIGCONT:
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WSTOPPED | os.WNOWAIT)

    def leave(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE_S)
        self._works.close()
        self._asides.close()


def be_a_rank() -> None:
    """The process, which ends with the test's end of the pipes."""
    works, asides = (Connection(int(number)) for number in sys.argv[1:])
    seat = Seat()
    seat.thread = threading.get_ident()
    threading.Thread(target=serve, args=(asides, seat), daemon=True).start()
    serve(works, seat)


def serve(pipe: "Connection[Any, Any]", seat: Seat) -> None:
    """The life of such a process: do what it is told, and say what came of it."""
    while True:
        try:
            work, arguments = pipe.recv()
        except EOFError:
            return
        pipe.send(attempt(work, seat, arguments))
