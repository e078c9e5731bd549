"""The worker's side of engine.proto: one connection for each router, one report for each step.

A report is written when a step did something for that router, and otherwise now and then so that
the router knows how the worker stands. A router that does not read is cut off, not waited for.
The requests of a router that is gone are aborted; their ids stay taken until the engine has ended
them.
"""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.vocabulary import Delta, Load
from raylax.proto.wire.frames import Connection
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.kv.page_pool import PageChanges
from raylax.worker.serving.inspection import send_inspection
from raylax.worker.serving.listener import HelloListener
from raylax.worker.serving.page_transfer import send_pages
from raylax.worker.serving.router_session import RouterSession

log = logging.getLogger(__name__)
HEARTBEAT_S = 0.1
FRESH_S = 0.02
"""How old a router's news of a working engine may be, between steps that do nothing for it."""
UNREAD_S = 10.0
"""A router that takes nothing for so long is cut off."""


class StepServer:
    """Serves one engine to routers, and its pages to other workers.

    Everything but `on_step` and `on_pages` happens on the event loop that the server was made on.
    """

    def __init__(
        self, engine: ThreadedEngine, worker_id: str, token: str, unread_s: float = UNREAD_S
    ) -> None:
        self.engine, self.token = engine, token
        self._worker_id = worker_id
        self._unread_s = unread_s
        self._loop = asyncio.get_running_loop()
        self._listener = HelloListener(token, self._on_hello)
        self.session_of: dict[str, RouterSession] = {}
        """By request id: a session enters its requests, and their last deltas take them out."""
        self._sessions: set[RouterSession] = set()
        self._names: dict[int, None] = {}  # of pages that can be found, the oldest first
        self._sending: set[asyncio.Task[None]] = set()  # pages, and what was asked for
        self._heartbeat: asyncio.TimerHandle | None = None
        self.draining = asyncio.Event()
        """Set once a router, or whoever runs the worker, has asked for the worker's end."""

    async def open(self, host: str) -> str:
        """Listen on a free port of this host; returns the address."""
        address = await self._listener.open(host)
        self._on_heartbeat()
        return address

    def close(self, why: str = "the worker ends") -> None:
        """End all connections with this reason, which aborts the routers' requests."""
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        self._listener.close(why)

    def abort(self) -> None:
        """Close without giving a reason: so it looks when a process dies."""
        self._listener.abort()

    # From the engine

    def on_step(self, deltas: list[Delta], load: Load) -> None:
        """Called on the engine's stream-back thread: one hand-over for a whole step."""
        with suppress(RuntimeError):  # the loop was closed: nobody is left to hear
            self._loop.call_soon_threadsafe(self._distribute, deltas)

    def on_pages(self, changes: PageChanges) -> None:
        """Called on the same thread, with the pages that can now be found, or no longer."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._note_pages, changes)

    def _note_pages(self, changes: PageChanges) -> None:
        for name in changes.removed:
            self._names.pop(name, None)
        self._names.update(dict.fromkeys(changes.added))
        for session in self._sessions:
            session.next_report.add_pages(changes)

    def _distribute(self, deltas: list[Delta]) -> None:
        by_session: dict[RouterSession, list[Delta]] = {}
        for delta in deltas:
            if (session := self.session_of.get(delta.request_id)) is not None:
                by_session.setdefault(session, []).append(delta)
                if delta.finish is not None:
                    del self.session_of[delta.request_id]
        for session, its_deltas in by_session.items():
            if session.take(its_deltas):
                self.report_to(session)
        self._report_older_than(FRESH_S)  # others have changed how the engine stands

    def _on_heartbeat(self) -> None:
        """Reports what is due, and ends who does not read, whatever the engine does."""
        self._heartbeat = self._loop.call_later(HEARTBEAT_S / 4, self._on_heartbeat)
        now = self._loop.time()
        for session in list(self._sessions):
            if not session.reads(now, self._unread_s):
                session.connection.end(f"nothing was read for {self._unread_s:g} s")
        self._report_older_than(HEARTBEAT_S * 3 / 4)

    def _report_older_than(self, age_s: float) -> None:
        long_ago = self._loop.time() - age_s
        for session in self._sessions:
            if session.reported_at <= long_ago and session.connection.writable.is_set():
                self.report_to(session)

    def report_to(self, session: RouterSession) -> None:
        """Send a router what became of its requests since, and the engine's status of now."""
        status = self.engine.snapshot()
        session.send_report(*status, routers=len(self._sessions), now=self._loop.time())

    # Who connects, and leaves

    def _on_hello(self, connection: Connection, hello: pb.Hello) -> None:
        match hello.WhichOneof("wish"):
            case "attach":
                self._attach(connection, hello.attach.router_address)
            case "describe":
                connection.send(self._description().SerializeToString())
                connection.end()
            case "find_pages":
                names = list(hello.find_pages.names)
                self._send(send_pages(self.engine, names, connection))
            case "inspect":
                self._send(send_inspection(self.engine, hello.inspect.what, connection))
            case _:
                connection.end("the hello has no wish that is known here")

    def _attach(self, connection: Connection, address: str) -> None:
        session = RouterSession(self, connection, address, list(self._names))
        connection.on_message = session.on_command
        connection.on_end = lambda how, why: self._on_end(session)
        self._sessions.add(session)
        self._share_peers()
        self.report_to(session)

    def _on_end(self, session: RouterSession) -> None:
        self._sessions.discard(session)
        self._share_peers()
        session.cancel_all()

    def _share_peers(self) -> None:
        """Let every router know the addresses of all, with its next report."""
        addresses = sorted(session.address for session in self._sessions)
        for session in self._sessions:
            session.next_report.peers = pb.Peers(addresses=addresses)

    def _description(self) -> pb.Description:
        return pb.Description(
            worker_id=self._worker_id,
            engine_config_json=self.engine.get_complete_engine_config(),
            vocab_size=self.engine.vocab,
            max_sequence_length=self.engine.config.max_single_sequence_length or 0,
        )

    def _send(self, sending: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(sending)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    # Draining

    @property
    def idle(self) -> bool:
        """No request is here, and nobody reads pages, or what was asked for."""
        return not (self.session_of or self._sending or self.engine.live)

    def drain(self) -> None:
        """Take nothing more; routers are told at once, and move what they have here."""
        self.engine.drain()
        self.draining.set()
        for session in self._sessions:
            session.release()
            self.report_to(session)
        log.info("draining: %d requests are to be moved", len(self.session_of))
