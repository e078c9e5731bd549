"""The worker's side of engine.proto: one connection for each router, one report for each step.

A report is written when a step did something for that router, and otherwise now and then so that
the router knows how the worker stands. A router that does not read is cut off, not waited for.
The requests of one that is gone are aborted; their ids stay taken until the engine has ended them.
"""

import asyncio
import logging
from contextlib import suppress

from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.vocabulary import Delta, Load
from raylax.proto.wire.frames import Connection
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.kv.page_pool import PageChanges
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
    """Serves one engine on the event loop that made it."""

    def __init__(
        self, engine: ThreadedEngine, worker_id: str, token: str, unread_s: float = UNREAD_S
    ) -> None:
        self.engine, self.token = engine, token
        self._worker_id = worker_id
        self._unread_s = unread_s
        self._loop = asyncio.get_running_loop()
        self._listener = HelloListener(token, self._on_hello)
        self.owner: dict[str, RouterSession] = {}
        """Of each request that is here: a session enters it, and its last delta takes it out."""
        self._routers: set[RouterSession] = set()
        self._names: dict[int, None] = {}  # of pages that can be found, the oldest first
        self._sending: set[asyncio.Task[None]] = set()  # pages, to other workers
        self._beating: asyncio.TimerHandle | None = None
        self.draining = asyncio.Event()
        """A router has asked for the worker's end, or its host has."""

    async def open(self, host: str) -> str:
        """On a free port; returns the address."""
        address = await self._listener.open(host)
        self._beat()
        return address

    def close(self, why: str = "the worker ends") -> None:
        """Routers are told; what they have here is aborted."""
        if self._beating is not None:
            self._beating.cancel()
        self._listener.close(why)

    def abort(self) -> None:
        """As `close`, without a word: so it looks when a process dies."""
        self._listener.abort()

    # What the engine says

    def on_step(self, deltas: list[Delta], load: Load) -> None:
        """On the engine's stream-back thread: one hand-over for a whole step."""
        with suppress(RuntimeError):  # the loop was closed: nobody is left to hear
            self._loop.call_soon_threadsafe(self._share_out, deltas)

    def on_pages(self, changes: PageChanges) -> None:
        """As `on_step`."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._note_pages, changes)

    def _note_pages(self, changes: PageChanges) -> None:
        for name in changes.removed:
            self._names.pop(name, None)
        self._names.update(dict.fromkeys(changes.added))
        for router in self._routers:
            router.changed(changes)

    def _share_out(self, deltas: list[Delta]) -> None:
        by_router: dict[RouterSession, list[Delta]] = {}
        for delta in deltas:
            if (router := self.owner.get(delta.request_id)) is not None:
                by_router.setdefault(router, []).append(delta)
                if delta.finish is not None:
                    del self.owner[delta.request_id]
        for router, its_deltas in by_router.items():
            if router.take(its_deltas):
                self.report(router)
        self._tell_older_than(FRESH_S)  # others have changed how the engine stands

    def _beat(self) -> None:
        """Now and then, whatever the engine does."""
        self._beating = self._loop.call_later(HEARTBEAT_S / 4, self._beat)
        now = self._loop.time()
        for router in list(self._routers):
            if not router.reads(now, self._unread_s):
                router.connection.end(f"nothing was read for {self._unread_s:g} s")
        self._tell_older_than(HEARTBEAT_S * 3 / 4)

    def _tell_older_than(self, age_s: float) -> None:
        long_ago = self._loop.time() - age_s
        for router in self._routers:
            if router.reported_at <= long_ago and router.connection.writable.is_set():
                self.report(router)

    def report(self, router: RouterSession) -> None:
        """Tell this router what became of its requests, and how the engine stands now."""
        status = self.engine.snapshot()
        router.report(*status, routers=len(self._routers), now=self._loop.time())

    # Who comes, and goes

    def _on_hello(self, connection: Connection, hello: pb.Hello) -> None:
        match hello.WhichOneof("wish"):
            case "attach":
                self._attach(connection, hello.attach.router_address)
            case "describe":
                connection.send(self._description().SerializeToString())
                connection.end()
            case "find_pages":
                self._send_pages(connection, list(hello.find_pages.names))
            case _:
                connection.end("the hello has no wish that is known here")

    def _attach(self, connection: Connection, address: str) -> None:
        router = RouterSession(self, connection, address, list(self._names))
        connection.on_message = router.hear
        connection.on_end = lambda how, why: self._gone(router)
        self._routers.add(router)
        self._introduce()
        self.report(router)

    def _gone(self, router: RouterSession) -> None:
        self._routers.discard(router)
        self._introduce()
        router.cancel_all()

    def _introduce(self) -> None:
        """The routers to each other, with their next reports."""
        addresses = sorted(router.address for router in self._routers)
        for router in self._routers:
            router.peers = pb.Peers(addresses=addresses)

    def _description(self) -> pb.Description:
        return pb.Description(
            worker_id=self._worker_id,
            engine_config_json=self.engine.get_complete_engine_config(),
            vocab_size=self.engine.vocab,
            max_sequence_length=self.engine.config.max_single_sequence_length or 0,
        )

    def _send_pages(self, connection: Connection, names: list[bytes]) -> None:
        task = self._loop.create_task(send_pages(self.engine, names, connection))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    # Draining

    @property
    def idle(self) -> bool:
        """No request is here, and nobody reads pages."""
        return not (self.owner or self._sending or self.engine.live)

    def drain(self) -> None:
        """Take nothing more; routers are told at once, and move what they have here."""
        self.engine.drain()
        self.draining.set()
        for router in self._routers:
            router.release()
            self.report(router)
        log.info("draining: %d requests are to be moved", len(self.owner))
