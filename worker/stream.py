"""The worker's side of engine.proto: one stream for each router, one report for each step.

A report is written when a step did something for that router, and otherwise now and then so that
the router knows how the worker stands. A router that does not read is cut off, not waited for.
"""

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from raylax.proto import engine_pb2 as pb
from raylax.proto import engine_pb2_grpc, wire
from raylax.proto.errors import RaylaxError
from raylax.proto.vocabulary import Delta, Finish, Load
from raylax.worker.engine import ThreadedEngine

log = logging.getLogger(__name__)
HEARTBEAT_S = 0.1
MOST_REPORTS = 4096
"""Unread by one router: minutes of a fast engine."""
LARGEST_MESSAGE = 64 << 20


@dataclass(eq=False)
class Router:
    """One attached router: its requests, and the reports that it has not read."""

    reports: asyncio.Queue[pb.StepReport] = field(
        default_factory=lambda: asyncio.Queue(MOST_REPORTS)
    )
    requests: set[str] = field(default_factory=set)
    cut_off: bool = False

    def report(self, deltas: list[Delta], load: Load) -> None:
        message = pb.StepReport(
            deltas=[wire.delta_to_proto(delta) for delta in deltas], load=wire.load_to_proto(load)
        )
        self.requests.difference_update(d.request_id for d in deltas if d.finish is not None)
        try:
            self.reports.put_nowait(message)
        except asyncio.QueueFull:
            self.cut_off = True


class EngineServicer(engine_pb2_grpc.EngineServicer):
    """Serves one engine on the event loop that made it."""

    def __init__(self, engine: ThreadedEngine, worker_id: str, token: str, vocab: int) -> None:
        self._engine, self._worker_id, self._token, self._vocab = engine, worker_id, token, vocab
        self._loop = asyncio.get_running_loop()
        self._owner: dict[str, Router] = {}
        self._routers: set[Router] = set()

    def on_step(self, deltas: list[Delta], load: Load) -> None:
        """The engine's callback, on its stream-back thread: one hand-over for a whole step."""
        if not self._loop.is_closed():
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

    async def Attach(
        self,
        request_iterator: AsyncIterator[pb.Command],
        context: grpc.aio.ServicerContext[pb.Command, pb.StepReport],
    ) -> AsyncIterator[pb.StepReport]:
        await self._authorise(context)
        router = Router()
        self._routers.add(router)
        reader = asyncio.create_task(self._read(router, request_iterator))
        try:
            yield pb.StepReport(load=wire.load_to_proto(self._engine.load()))
            while not router.cut_off:
                try:
                    yield await asyncio.wait_for(router.reports.get(), HEARTBEAT_S)
                except TimeoutError:
                    yield pb.StepReport(load=wire.load_to_proto(self._engine.load()))
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"more than {MOST_REPORTS} reports unread"
            )
        finally:
            reader.cancel()
            self._routers.discard(router)
            for request_id in router.requests:
                self._owner.pop(request_id, None)
                self._engine.abort_request(request_id)

    async def Describe(
        self,
        request: pb.DescribeRequest,
        context: grpc.aio.ServicerContext[pb.DescribeRequest, pb.Description],
    ) -> pb.Description:
        await self._authorise(context)
        return pb.Description(
            worker_id=self._worker_id,
            engine_config_json=self._engine.get_complete_engine_config(),
            vocab_size=self._vocab,
            max_sequence_length=self._engine.config.max_single_sequence_length or 0,
        )

    async def _authorise(self, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        """Anybody can reach a port; only the cluster knows its token."""
        given = dict(context.invocation_metadata() or ()).get("authorization", "")
        if not hmac.compare_digest(str(given).encode(), f"Bearer {self._token}".encode()):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the cluster token is missing")

    async def _read(self, router: Router, commands: AsyncIterator[pb.Command]) -> None:
        async for command in commands:
            match command.WhichOneof("command"):
                case "submit":
                    self._submit(router, command.submit)
                case "cancel":
                    if command.cancel.request_id in router.requests:
                        self._engine.abort_request(command.cancel.request_id)

    def _submit(self, router: Router, message: pb.Submit) -> None:
        """A request that cannot be accepted ends at once, and harms no other of its name."""
        request_id = message.request_id
        if request_id in self._owner:
            self._refuse(router, request_id, f"request id {request_id} is already running")
            return
        self._owner[request_id] = router
        router.requests.add(request_id)
        try:
            self._engine.add_request(wire.submit_from_proto(message))
        except RaylaxError as error:
            del self._owner[request_id]
            self._refuse(router, request_id, error.message)

    def _refuse(self, router: Router, request_id: str, why: str) -> None:
        refused = Delta(request_id, finish=Finish.ERROR, error=why)
        router.report([refused], self._engine.load())


async def serve_engine(servicer: EngineServicer, host: str) -> tuple[grpc.aio.Server, str]:
    """Start a server on a free port; returns it and its address."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", LARGEST_MESSAGE)])
    engine_pb2_grpc.add_EngineServicer_to_server(servicer, server)
    port = server.add_insecure_port(f"{host}:0")
    await server.start()
    return server, f"{host}:{port}"
