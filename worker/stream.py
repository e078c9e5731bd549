"""The worker's side of engine.proto: one stream for each router, one report for each step.

A report is written when a step did something for that router, and otherwise now and then so that
the router knows how the worker stands. A router that does not read is cut off, not waited for.
The requests of one that is gone are aborted; their ids stay taken until the engine has ended them.

A request that comes from another worker may bring its pages along: they are fetched from there
before it is put in, and what cannot be had is computed.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio

from raylax.proto import engine_pb2 as pb
from raylax.proto import engine_pb2_grpc, wire
from raylax.proto.cluster_token import may_enter
from raylax.proto.errors import InvalidRequest, RaylaxError
from raylax.proto.vocabulary import Delta, Finish, Load, Request
from raylax.worker.engine import ThreadedEngine
from raylax.worker.handover import fetch_pages, send_pages
from raylax.worker.pages import PageChanges

log = logging.getLogger(__name__)
HEARTBEAT_S = 0.1
FRESH_S = 0.02
"""How old a router's news of a working engine may be, between steps that do nothing for it."""
MOST_REPORTS = 4096
"""Unread by one router: minutes of a fast engine."""
LARGEST_MESSAGE = 64 << 20


OPTIONS = [
    ("grpc.max_receive_message_length", LARGEST_MESSAGE),
    ("grpc.keepalive_time_ms", 5_000),  # a router's machine may vanish without a word
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
]
Context = grpc.aio.ServicerContext[pb.Command, pb.StepReport]
Why = tuple[grpc.StatusCode, str]


class Router:
    """One attached router: its requests, and the reports that it has not read."""

    def __init__(self, address: str, most_reports: int, names: list[int]) -> None:
        """`address`: where it answers other routers; `names` of the pages that can be found now."""
        self.address = address
        self.peers: pb.Peers | None = None
        self.reports: asyncio.Queue[pb.StepReport] = asyncio.Queue(most_reports)
        self.requests: set[str] = set()
        self.reported_at = 0.0
        self.fetching: dict[str, asyncio.Task[None]] = {}
        """Requests whose pages are on their way here."""
        self._pages: pb.PageEvents | None = pb.PageEvents(added=names, snapshot=True)
        self._dispatches: deque[tuple[int, int]] = deque()  # number in the engine, dispatch
        self._received = 0
        self.over: asyncio.Future[Why] = asyncio.get_running_loop().create_future()
        """Why its stream must end."""

    def accepted(self, number: int, dispatch: int) -> None:
        """The engine knows the dispatch as soon as it has taken up so many requests."""
        self._dispatches.append((number, dispatch))

    def changed(self, changes: PageChanges) -> None:
        """Told with the next report."""
        if self._pages is None:
            self._pages = pb.PageEvents()
        self._pages.added.extend(changes.added)
        self._pages.removed.extend(changes.removed)

    def report(self, deltas: list[Delta], load: Load, age_s: float, routers: int) -> None:
        self.requests.difference_update(d.request_id for d in deltas if d.finish is not None)
        if self.over.done():
            return
        try:
            self.reports.put_nowait(self.message(deltas, load, age_s, routers))
        except asyncio.QueueFull:
            unread = f"more than {self.reports.maxsize} reports unread"
            self.end(grpc.StatusCode.RESOURCE_EXHAUSTED, unread)

    def message(self, deltas: list[Delta], load: Load, age_s: float, routers: int) -> pb.StepReport:
        while self._dispatches and self._dispatches[0][0] <= load.taken:
            self._received = max(self._received, self._dispatches.popleft()[1])
        pages, self._pages = self._pages, None
        peers, self.peers = self.peers, None
        return pb.StepReport(
            deltas=[wire.delta_to_proto(delta) for delta in deltas],
            load=wire.load_to_proto(load),
            age_s=age_s,
            received=self._received,
            routers=routers,
            pages=pages,
            peers=peers,
        )

    def end(self, code: grpc.StatusCode, why: str) -> None:
        if not self.over.done():
            self.over.set_result((code, why))


class EngineServicer(engine_pb2_grpc.EngineServicer):
    """Serves one engine on the event loop that made it."""

    def __init__(
        self, engine: ThreadedEngine, worker_id: str, token: str, most_reports: int = MOST_REPORTS
    ) -> None:
        self._engine, self._worker_id, self._token = engine, worker_id, token
        self._most_reports = most_reports
        self._loop = asyncio.get_running_loop()
        self._owner: dict[str, Router] = {}
        self._routers: set[Router] = set()
        self._names: dict[int, None] = {}  # of pages that can be found, the oldest first
        self._moving = 0  # pages are being read by other workers
        self.draining = asyncio.Event()
        """A router has asked for the worker's end, or its host has."""

    def on_step(self, deltas: list[Delta], load: Load) -> None:
        """The engine's callback, on its stream-back thread: one hand-over for a whole step."""
        with suppress(RuntimeError):  # the loop was closed: nobody is left to hear
            self._loop.call_soon_threadsafe(self._share_out, deltas)

    def on_pages(self, changes: PageChanges) -> None:
        """As `on_step`."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._note_pages, changes)

    @property
    def idle(self) -> bool:
        """No request is here, and nobody reads pages."""
        return not (self._owner or self._moving or self._engine.live)

    def drain(self) -> None:
        """Take nothing more; routers are told at once, and move what they have here."""
        self._engine.drain()
        self.draining.set()
        log.info("draining: %d requests are to be moved", len(self._owner))

    def _note_pages(self, changes: PageChanges) -> None:
        for name in changes.removed:
            self._names.pop(name, None)
        self._names.update(dict.fromkeys(changes.added))
        for router in self._routers:
            router.changed(changes)

    def _share_out(self, deltas: list[Delta]) -> None:
        by_router: dict[Router, list[Delta]] = {}
        for delta in deltas:
            if (router := self._owner.get(delta.request_id)) is not None:
                by_router.setdefault(router, []).append(delta)
                if delta.finish is not None:
                    del self._owner[delta.request_id]
        for router, its_deltas in by_router.items():
            self._report(router, its_deltas)
        long_ago = self._loop.time() - FRESH_S
        for router in self._routers - by_router.keys():  # others have changed how the engine stands
            if router.reported_at < long_ago and router.reports.empty():
                self._report(router, [])

    def _report(self, router: Router, deltas: list[Delta]) -> None:
        """How the engine stands is said as it is now, which may be later than the deltas."""
        router.reported_at = self._loop.time()
        router.report(deltas, *self._engine.stand(), routers=len(self._routers))

    async def Attach(  # type: ignore[override]  # written to, because a generator cannot be cut off
        self, request_iterator: AsyncIterator[pb.Command], context: Context
    ) -> None:
        await self._authorise(context)
        address = dict(context.invocation_metadata() or ()).get("router-address", "")
        router = Router(str(address), self._most_reports, list(self._names))
        self._routers.add(router)
        self._introduce()
        writing = asyncio.create_task(self._write(router, context))
        reading = asyncio.create_task(self._read(router, request_iterator))
        try:
            ends: list[asyncio.Future[Any]] = [writing, router.over]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._routers.discard(router)
            self._introduce()
            router.end(grpc.StatusCode.CANCELLED, "the stream has ended")
            tasks = (writing, reading, *router.fetching.values())
            for task in tasks:
                task.cancel()
            for request_id in list(router.requests):
                self._cancel(router, request_id)
            await asyncio.gather(*tasks, return_exceptions=True)
        await context.abort(*router.over.result())

    def _introduce(self) -> None:
        """The routers to each other, with their next reports."""
        addresses = sorted(router.address for router in self._routers)
        for router in self._routers:
            router.peers = pb.Peers(addresses=addresses)

    async def _write(self, router: Router, context: Context) -> None:
        await context.write(self._heartbeat(router))
        while True:
            try:  # not wait_for, which before Python 3.12 may swallow a cancellation
                async with asyncio.timeout(HEARTBEAT_S):
                    report = await router.reports.get()
            except TimeoutError:
                report = self._heartbeat(router)
            await context.write(report)

    def _heartbeat(self, router: Router) -> pb.StepReport:
        return router.message([], *self._engine.stand(), routers=len(self._routers))

    async def Pages(  # type: ignore[override]
        self,
        request: pb.PagesRequest,
        context: "grpc.aio.ServicerContext[pb.PagesRequest, pb.PageContents]",
    ) -> None:
        await self._authorise(context)
        self._moving += 1
        try:
            await send_pages(self._engine, list(request.names), context)
        finally:
            self._moving -= 1

    async def Describe(
        self,
        request: pb.DescribeRequest,
        context: grpc.aio.ServicerContext[pb.DescribeRequest, pb.Description],
    ) -> pb.Description:
        await self._authorise(context)
        return pb.Description(
            worker_id=self._worker_id,
            engine_config_json=self._engine.get_complete_engine_config(),
            vocab_size=self._engine.vocab,
            max_sequence_length=self._engine.config.max_single_sequence_length or 0,
        )

    async def _authorise(self, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        """Anybody can reach a port; only the cluster knows its token."""
        if not may_enter(context, self._token):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the cluster token is missing")

    async def _read(self, router: Router, commands: AsyncIterator[pb.Command]) -> None:
        try:
            async for command in commands:
                match command.WhichOneof("command"):
                    case "submit":
                        self._submit(router, command.submit)
                    case "cancel":
                        if command.cancel.request_id in router.requests:
                            self._cancel(router, command.cancel.request_id)
                    case "drain":
                        self.drain()
        except Exception as error:  # unheard commands would never be answered
            log.exception("a command of a router failed")
            router.end(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")

    def _submit(self, router: Router, message: pb.Submit) -> None:
        """A request that cannot be accepted ends at once, and harms no other of its name."""
        request_id = message.request_id
        if request_id in self._owner:
            known = InvalidRequest(f"request id {request_id} is already running")
            router.accepted(0, message.dispatch)
            self._refuse(router, request_id, known)
            return
        self._owner[request_id] = router
        router.requests.add(request_id)
        request, dispatch = wire.submit_from_proto(message), message.dispatch
        if not request.pages_at:
            self._add(router, request, dispatch)
            return
        task = asyncio.create_task(self._add_with_pages(router, request, dispatch))
        router.fetching[request_id] = task

    async def _add_with_pages(self, router: Router, request: Request, dispatch: int) -> None:
        await fetch_pages(self._engine, request, self._token)
        del router.fetching[request.id]
        self._add(router, request, dispatch)

    def _cancel(self, router: Router, request_id: str) -> None:
        """One that the engine does not have yet is over at once."""
        if (fetching := router.fetching.pop(request_id, None)) is None:
            self._engine.abort_request(request_id)
        else:
            fetching.cancel()
            del self._owner[request_id]
            router.requests.discard(request_id)

    def _add(self, router: Router, request: Request, dispatch: int) -> None:
        try:
            router.accepted(self._engine.add_request(request), dispatch)
        except RaylaxError as error:
            router.accepted(0, dispatch)
            del self._owner[request.id]
            self._refuse(router, request.id, error)

    def _refuse(self, router: Router, request_id: str, why: RaylaxError) -> None:
        refused = Delta(request_id, finish=Finish.ERROR, error=why.message, fault=why.fault)
        self._report(router, [refused])


async def serve_engine(servicer: EngineServicer, host: str) -> tuple[grpc.aio.Server, str]:
    """Start a server on a free port; returns it and its address."""
    server = grpc.aio.server(options=OPTIONS)
    engine_pb2_grpc.add_EngineServicer_to_server(servicer, server)
    port = server.add_insecure_port(f"{host}:0")
    await server.start()
    return server, f"{host}:{port}"
