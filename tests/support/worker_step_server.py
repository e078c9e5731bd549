"""An engine behind its step server, and routers that attach to it over real sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from raylax.proto.pages import ROOT
from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.vocabulary import Delta, Finish, Request, Sampling
from raylax.proto.wire import messages as wire
from raylax.proto.wire.frames import Connection
from raylax.proto.wire.introduction import Introduction
from raylax.worker.config import EngineConfig
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.serving.step_server import UNREAD_S, StepServer
from tests.support.engines import (
    PATIENCE_S,
    running_engine,
    until,
)

TOKEN = "the cluster's secret"
CONFIG = EngineConfig(
    max_num_sequence=4, max_single_sequence_length=256, threads=1, speculative_mode="disable"
)
"""Every step says a token."""


@dataclass
class RouterEnd:
    """A router's end of a stream."""

    reports: list[pb.StepReport] = field(default_factory=list)
    deltas: list[Delta] = field(default_factory=list)
    ended: str | None = None
    """Why."""

    def __post_init__(self) -> None:
        self._news = asyncio.Event()
        self.connection = Connection(self._hear, self._end, PATIENCE_S)

    def _hear(self, message: bytes) -> None:
        report = pb.StepReport.FromString(message)
        self.reports.append(report)
        self.deltas += map(wire.delta_from_proto, report.deltas)
        self._news.set()

    def _end(self, how: object, why: str) -> None:
        self.ended = why
        self._news.set()

    def submit(
        self,
        id: str,
        max_tokens: int = 8,
        top_logprobs: int | None = None,
        prompt: Sequence[int] = (5, 6, 7),
        dispatch: int = 0,
        pages_at: str = "",
        coalesce: int = 1,
        page_root: bytes = ROOT,
    ) -> None:
        sampling = Sampling(temperature=0.0, top_logprobs=top_logprobs)
        request = Request(
            id, tuple(prompt), max_tokens, sampling, pages_at=pages_at, page_root=page_root
        )
        submit = wire.submit_to_proto(request, dispatch, coalesce=coalesce)
        self.command(pb.Command(submit=submit))

    def cancel(self, id: str) -> None:
        self.command(pb.Command(cancel=pb.Cancel(request_id=id)))

    def command(self, command: pb.Command) -> None:
        self.connection.send(command.SerializeToString())

    async def read(self, enough: Callable[[], object]) -> None:
        """Until it is so."""
        async with asyncio.timeout(PATIENCE_S):
            while not enough():
                assert self.ended is None, self.ended
                self._news.clear()
                await self._news.wait()

    async def end(self) -> str:
        """Why it was ended."""
        await self.read(lambda: self.ended is not None)
        return self.ended or ""

    def tokens(self, id: str) -> list[int]:
        return [t for delta in self.deltas if delta.request_id == id for t in delta.token_ids]

    def ends(self, id: str) -> list[Finish]:
        return [d.finish for d in self.deltas if d.request_id == id and d.finish is not None]


@dataclass
class ServedEngine:
    engine: ThreadedEngine
    server: StepServer
    address: str

    @asynccontextmanager
    async def attach(self) -> AsyncIterator[RouterEnd]:
        router = RouterEnd()
        hello = pb.Hello(attach=pb.Attach()).SerializeToString()
        router.connection.connect(self.address, Introduction(TOKEN, hello))
        yield router
        router.connection.abort()

    async def until(self, condition: Callable[[], object]) -> None:
        await asyncio.to_thread(until, condition)

    @property
    def busy(self) -> int:
        load = self.engine.load()
        return load.running + load.waiting


@asynccontextmanager
async def serving(checkpoint: Path, unread_s: float = UNREAD_S) -> AsyncIterator[ServedEngine]:
    with running_engine(checkpoint, CONFIG) as (engine, _):
        server = StepServer(engine, "w0", TOKEN, unread_s)
        engine.init_threaded_engine("cpu", server.on_step, on_pages=server.on_pages)
        yield ServedEngine(engine, server, await server.open("127.0.0.1"))
        server.close()
