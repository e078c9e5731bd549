"""One router's session with a worker: it carries out the router's commands on the engine.

A request that comes from another worker may bring its pages along: they are fetched from there
while it waits for its turn, and what cannot be had is computed.
"""

import asyncio
import logging
import time
from typing import Protocol

from raylax.proto.errors import EngineFailure, InvalidRequest, RaylaxError
from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.vocabulary import Delta, Finish, Load, Request
from raylax.proto.wire import messages as wire
from raylax.proto.wire.frames import Connection
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.scheduling.readiness import READY, Need
from raylax.worker.serving.page_transfer import fetch_pages
from raylax.worker.serving.step_report import NextReport, SessionRequest

log = logging.getLogger(__name__)


class SessionServer(Protocol):
    """What a session needs of the step server that it belongs to."""

    engine: ThreadedEngine
    token: str
    """The cluster's, by which other workers hand out pages."""
    session_of: dict[str, "RouterSession"]
    """The session that sent each request that is here: an id is taken once, whoever chose it."""

    def report_to(self, session: "RouterSession") -> None:
        """Send this router a report now."""
        ...

    def drain(self) -> None:
        """Take nothing more."""
        ...


class RouterSession:
    """A router's requests here, and its next report. Used on the event loop of its connection."""

    def __init__(
        self, server: SessionServer, connection: Connection, address: str, pages: list[int]
    ) -> None:
        """`address`: where the router answers others; `pages`: names of all that can be found."""
        self._server = server
        self.connection, self.address = connection, address
        self.next_report = NextReport(pages)
        self.reported_at = 0.0
        self._requests: dict[str, SessionRequest] = {}
        self._fetches: dict[str, asyncio.Task[None]] = {}
        """What brings pages for a request, until that ends."""
        self._unread_since = asyncio.get_running_loop().time()

    # From the router

    def on_command(self, message: bytes) -> None:
        """Carry out one command. A command that fails ends the connection."""
        try:
            self._carry_out(pb.Command.FromString(message))
        except Exception as error:  # commands that nobody heard would never be answered
            log.exception("a command of a router failed")
            self.connection.end(f"a command failed: {type(error).__name__}: {error}")

    def cancel_all(self) -> None:
        """End every request of a router that is gone. Their ids stay taken until the engine has."""
        for request_id in list(self._requests):
            self._cancel(request_id)

    def _carry_out(self, command: pb.Command) -> None:
        match command.WhichOneof("command"):
            case "submit":
                self._submit(command.submit)
            case "cancel":
                if command.cancel.request_id in self._requests:
                    self._cancel(command.cancel.request_id)
            case "drain":
                self._server.drain()
            case "flush":
                self._server.engine.flush()
            case "read_clock":
                now, number = time.monotonic(), command.read_clock.number
                self.next_report.clock = pb.ClockReading(number=number, now_s=now)
                self._server.report_to(self)

    def _submit(self, message: pb.Submit) -> None:
        """Hand a request to the engine. One that cannot be taken in is refused, whatever the
        reason: else nobody would answer it, and a connection that ended would take it to the next
        worker, and the next."""
        try:
            if message.request_id in self._server.session_of:
                raise InvalidRequest(f"request id {message.request_id} is already running")
            request = wire.submit_from_proto(message)
            needs = frozenset({Need.PAGES}) if request.pages_at else READY
            number = self._server.engine.add_request(request, needs)
        except RaylaxError as error:
            self._refuse(message, error)
        except Exception as error:
            log.exception("%s could not be taken in", message.request_id)
            why = f"the request could not be taken in: {type(error).__name__}: {error}"
            self._refuse(message, EngineFailure(why))
        else:
            self._accept(request, number, message)

    def _accept(self, request: Request, number: int, message: pb.Submit) -> None:
        self._server.session_of[request.id] = self
        self._requests[request.id] = SessionRequest(message.dispatch, message.coalesce)
        self.next_report.add_dispatch(number, message.dispatch)
        if request.pages_at:
            task = asyncio.get_running_loop().create_task(self._fetch_pages(request))
            self._fetches[request.id] = task

    def _refuse(self, message: pb.Submit, why: RaylaxError) -> None:
        """Harms no other request of this name."""
        self.next_report.add_dispatch(0, message.dispatch)
        end = Delta(message.request_id, finish=Finish.ERROR, error=why.message, fault=why.fault)
        self.next_report.add_deltas([end], {})
        self._server.report_to(self)

    async def _fetch_pages(self, request: Request) -> None:
        """Bring as many of its pages as can be had, while it waits in the engine."""
        await fetch_pages(self._server.engine, request, self._server.token)
        self._server.engine.meet_need(request.id, Need.PAGES)

    def _stop_fetching(self, request_id: str) -> None:
        if (task := self._fetches.pop(request_id, None)) is not None:
            task.cancel()

    def _cancel(self, request_id: str) -> None:
        self._stop_fetching(request_id)
        self._server.engine.abort_request(request_id)

    # To the router

    def send_report(self, load: Load, age_s: float, routers: int, now: float) -> None:
        """See `NextReport.take`; `now` on the loop's clock."""
        self.reported_at = now
        report = self.next_report.take(load, age_s, routers)
        self.connection.send(report.SerializeToString())

    def take(self, deltas: list[Delta]) -> bool:
        """Deltas of a step, for the next report. False while all of it may wait."""
        due = self.next_report.add_deltas(deltas, self._requests)
        for delta in deltas:
            if delta.finish is not None:
                self._requests.pop(delta.request_id, None)
                self._stop_fetching(delta.request_id)
        return due

    def release(self) -> None:
        """No token waits for others any longer."""
        self.next_report.add_held(self._requests)

    def reads(self, now: float, within_s: float) -> bool:
        """False when the router has taken nothing for so long."""
        if self.connection.writable.is_set():
            self._unread_since = now
        return now - self._unread_since < within_s
