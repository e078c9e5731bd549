"""The worker's side of engine.proto: one stream for each router, one report for each step.

A report is written when a step did something for that router, and otherwise now and then so that
the router knows how the worker stands. A router that does not read is cut off, not waited for.
The requests of one that is gone are aborted; their ids stay taken until the engine has ended them.
"""

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio

from raylax.proto import engine_pb2 as pb
from raylax.proto import engine_pb2_grpc, wire
from raylax.proto.errors import InvalidRequest, RaylaxError
from raylax.proto.vocabulary import Delta, Finish, Load
from raylax.worker.engine import ThreadedEngine

log = logging.getLogger(__name__)
HEARTBEAT_S = 0.1
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

    def __init__(self, most_reports: int) -> None:
        self.reports: asyncio.Queue[pb.StepReport] = asyncio.Queue(most_reports)
        self.requests: set[str] = set()
        self.over: asyncio.Future[Why] = asyncio.get_running_loop().create_future()
        """Why its stream must end."""

    def report(self, deltas: list[Delta], load: Load) -> None:
        self.requests.difference_update(d.request_id for d in deltas if d.finish is not None)
        if self.over.done():
            return
        message = pb.StepReport(
            deltas=[wire.delta_to_proto(delta) for delta in deltas], load=wire.load_to_proto(load)
        )
        try:
            self.reports.put_nowait(message)
        except asyncio.QueueFull:
            unread = f"more than {self.reports.maxsize} reports unread"
            self.end(grpc.StatusCode.RESOURCE_EXHAUSTED, unread)

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

    def on_step(self, deltas: list[Delta], load: Load) -> None:
        """The engine's callback, on its stream-back thread: one hand-over for a whole step."""
        with suppress(RuntimeError):  # the loop was closed: nobody is left to hear
            self._loop.call_soon_threadsafe(self._share_out, deltas, load)

    def _share_out(self, deltas: list[Delta], load: Load) -> None:
        by_router: dict[Router, list[Delta]] = {}
        for delta in deltas:
            if (router := self._owner.get(delta.request_id)) is not None:
                by_router.setdefault(router, []).append(delta)
                if delta.finish is not None:
                    del self._owner[delta.request_id]
        for router, its_deltas in by_router.items():
            router.report(its_deltas, load)

    async def Attach(  # type: ignore[override]  # written to, because a generator cannot be cut off
        self, request_iterator: AsyncIterator[pb.Command], context: Context
    ) -> None:
        await self._authorise(context)
        router = Router(self._most_reports)
        writing = asyncio.create_task(self._write(router, context))
        reading = asyncio.create_task(self._read(router, request_iterator))
        try:
            ends: list[asyncio.Future[Any]] = [writing, router.over]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            router.end(grpc.StatusCode.CANCELLED, "the stream has ended")
            for task in (writing, reading):
                task.cancel()
            for request_id in router.requests:
                self._engine.abort_request(request_id)
            await asyncio.gather(writing, reading, return_exceptions=True)
        await context.abort(*router.over.result())

    async def _write(self, router: Router, context: Context) -> None:
        await context.write(self._heartbeat())
        while True:
            try:  # not wait_for, which before Python 3.12 may swallow a cancellation
                async with asyncio.timeout(HEARTBEAT_S):
                    report = await router.reports.get()
            except TimeoutError:
                report = self._heartbeat()
            await context.write(report)

    def _heartbeat(self) -> pb.StepReport:
        return pb.StepReport(load=wire.load_to_proto(self._engine.load()))

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
        given = dict(context.invocation_metadata() or ()).get("authorization", "")
        if not hmac.compare_digest(str(given).encode(), f"Bearer {self._token}".encode()):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the cluster token is missing")

    async def _read(self, router: Router, commands: AsyncIterator[pb.Command]) -> None:
        try:
            async for command in commands:
                match command.WhichOneof("command"):
                    case "submit":
                        self._submit(router, command.submit)
                    case "cancel":
                        if command.cancel.request_id in router.requests:
                            self._engine.abort_request(command.cancel.request_id)
        except Exception as error:  # unheard commands would never be answered
            log.exception("a command of a router failed")
            router.end(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")

    def _submit(self, router: Router, message: pb.Submit) -> None:
        """A request that cannot be accepted ends at once, and harms no other of its name."""
        request_id = message.request_id
        if request_id in self._owner:
            known = InvalidRequest(f"request id {request_id} is already running")
            self._refuse(router, request_id, known)
            return
        self._owner[request_id] = router
        router.requests.add(request_id)
        try:
            self._engine.add_request(wire.submit_from_proto(message))
        except RaylaxError as error:
            del self._owner[request_id]
            self._refuse(router, request_id, error)

    def _refuse(self, router: Router, request_id: str, why: RaylaxError) -> None:
        refused = Delta(request_id, finish=Finish.ERROR, error=why.message, fault=why.fault)
        router.report([refused], self._engine.load())


async def serve_engine(servicer: EngineServicer, host: str) -> tuple[grpc.aio.Server, str]:
    """Start a server on a free port; returns it and its address."""
    server = grpc.aio.server(options=OPTIONS)
    engine_pb2_grpc.add_EngineServicer_to_server(servicer, server)
    port = server.add_insecure_port(f"{host}:0")
    await server.start()
    return server, f"{host}:{port}"
