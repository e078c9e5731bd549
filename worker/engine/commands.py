"""What any thread may ask of an engine: commands, which its own thread takes between two steps.

Also the book of who is in: a request that was accepted is live until it has ended. Nothing that
must be answered is put after the engine has closed.
"""

import queue
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from typing import Any

from raylax.proto.errors import InvalidRequest, Overloaded
from raylax.proto.shares import Shares
from raylax.proto.vocabulary import Request
from raylax.worker.engine.process_guard import ProcessGuard
from raylax.worker.errors import EngineNotReady

Command = Callable[[], None]


class Closed(Exception):
    """Nobody is accepted any more."""


class CommandQueue:
    """What other threads want of the engine thread. One lock orders everybody before or after the
    close."""

    def __init__(self, process: ProcessGuard) -> None:
        self._process = process
        self._queue: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._live: dict[str, str] = {}  # and whose they are
        self._asked_shares: dict[str, float] = {}  # of tenants with live requests, as said last
        self._places = Shares(0, lambda tenant: self._asked_shares.get(tenant, 1.0))
        self.closed = self.draining = False
        self.accepted = 0

    @property
    def live(self) -> list[str]:
        """Ids of the requests that were accepted and have not ended."""
        return sorted(self._live)

    def accept(self, request: Request, capacity: int, add: Command) -> int:
        """Take a request in, and return its number. Raises Closed, InvalidRequest, Overloaded.

        `capacity`: how many may be live, of which each tenant has a part; `add` puts it into the
        batch, on the engine thread.
        """
        with self._lock:
            if self.closed or self.draining:
                raise Closed
            if request.id in self._live:
                raise InvalidRequest(f"request id {request.id} is already running")
            self._places.total = capacity
            self._asked_shares[request.tenant] = request.share
            if not self._places.take(request.tenant, 1):
                self._forget_if_gone(request.tenant)
                raise Overloaded(
                    f"at most {capacity} requests may run or wait, all places that you may have "
                    "are taken",
                    retry_after_s=1.0,
                )
            self._live[request.id] = request.tenant
            self.accepted += 1
            self._queue.put(add)
            return self.accepted

    def ended(self, request_ids: Iterable[str]) -> None:
        """These requests are no longer live."""
        with self._lock:
            for request_id in request_ids:
                if (tenant := self._live.pop(request_id, None)) is not None:
                    self._places.give_back(tenant, 1)
                    self._forget_if_gone(tenant)

    def _forget_if_gone(self, tenant: str) -> None:
        if not self._places.held(tenant):
            self._asked_shares.pop(tenant, None)

    def put(self, command: Command) -> None:
        """Put a command that needs no answer. Raises EngineNotReady in a forked child."""
        self._process.check()
        self._queue.put(command)

    def drain(self, command: Command) -> None:
        """Accept no further request, and put a last command. Raises as `put`."""
        self._process.check()
        with self._lock:
            self.draining = True
        self._queue.put(command)

    def close(self) -> None:
        """Accept nothing any more. Commands that have come are still carried out."""
        with self._lock:
            self.closed = True
            self._queue.put(lambda: None)  # wakes the engine thread

    def carry_out(self, wait_s: float | None) -> None:
        """On the engine thread: run all that have come, after waiting so long for the first; None:
        for as long as it takes, or until the close."""
        if wait_s == 0.0 and self._queue.empty():
            return  # as before most steps
        if wait_s is not None:
            wait_s = min(wait_s, threading.TIMEOUT_MAX)
        try:
            self._queue.get(block=wait_s != 0.0 and not self.closed, timeout=wait_s)()
            while True:
                self._queue.get_nowait()()
        except queue.Empty:
            return

    def call(self, work: Callable[[], Any], timeout: float | None) -> Any:
        """Do `work` on the engine thread, and return or raise what it does. Raises EngineNotReady
        after the close, after `timeout` seconds, or in a forked child."""
        self._process.check()
        future: Future[Any] = Future()

        def run() -> None:
            try:
                if self.closed:
                    raise EngineNotReady("the engine has been terminated")
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)

        with self._lock:
            if self.closed:
                raise EngineNotReady("the engine has been terminated")
            self._queue.put(run)
        if not wait([future], timeout).done:
            raise EngineNotReady(f"the engine thread has not answered within {timeout:.0f} s")
        return future.result()
