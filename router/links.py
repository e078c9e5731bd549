"""Step streams to the workers: commands go up, deltas come down and are handed to who waits.

A link that breaks tells every request on it, at once. Nobody waits for a worker that is gone.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

import grpc
import grpc.aio

from raylax.proto import engine_pb2 as pb
from raylax.proto import engine_pb2_grpc, wire
from raylax.proto.vocabulary import Delta, Load, Request

log = logging.getLogger(__name__)
SILENCE_S = 10.0
"""A worker reports ten times a second; after this long without a word it counts as lost."""
OPTIONS = [
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
]


@dataclass(frozen=True, slots=True)
class Lost:
    """Instead of a delta: the worker of this request is gone."""

    request_id: str
    why: str


@dataclass(frozen=True, slots=True)
class Late:
    """Instead of a delta: the call's time is over."""


Inbox = asyncio.Queue[Delta | Lost | Late]


class Link:
    """One worker's stream. `on_load` hears every report, `on_lost` the end, once."""

    def __init__(
        self,
        worker: str,
        address: str,
        token: str,
        on_load: Callable[[str, Load], None],
        on_lost: Callable[["Link"], None],
        silence_s: float = SILENCE_S,
    ) -> None:
        self.worker, self.address, self._silence_s = worker, address, silence_s
        self._on_load, self._on_lost = on_load, on_lost
        self._inboxes: dict[str, Inbox] = {}
        self._commands: asyncio.Queue[pb.Command] = asyncio.Queue()
        self._channel = grpc.aio.insecure_channel(address, options=OPTIONS)
        stub = engine_pb2_grpc.EngineStub(self._channel)
        self._call = stub.Attach(metadata=(("authorization", f"Bearer {token}"),))
        self.lost: str | None = None
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]

    def __repr__(self) -> str:
        return f"Link({self.worker}, {len(self._inboxes)} requests, lost={self.lost!r})"

    def submit(self, request: Request, inbox: Inbox) -> None:
        """From here on the inbox gets this request's deltas, or Lost."""
        if self.lost is not None:
            inbox.put_nowait(Lost(request.id, self.lost))
            return
        self._inboxes[request.id] = inbox
        self._commands.put_nowait(pb.Command(submit=wire.submit_to_proto(request)))

    def cancel(self, request_id: str) -> None:
        """Nothing is delivered for it any more; the worker frees its pages."""
        if self._inboxes.pop(request_id, None) is not None and self.lost is None:
            cancel = pb.Cancel(request_id=request_id)
            self._commands.put_nowait(pb.Command(cancel=cancel))

    async def close(self) -> None:
        self.lose("the link was closed")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._channel.close()

    async def _write(self) -> None:
        try:
            while True:
                await self._call.write(await self._commands.get())
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # the reader learns why

    async def _read(self) -> None:
        why = "what it said was not understood"
        try:
            while isinstance(report := await self._next(), pb.StepReport):
                self._hand_out(report)
            why = "it ended the stream"
        except TimeoutError:
            why = f"nothing was heard for {self._silence_s:g} s"
        except grpc.aio.AioRpcError as error:
            why = error.details() or error.code().name
        finally:  # whatever it was: nobody may wait for a link that is not read
            self.lose(why)

    async def _next(self) -> object:
        async with asyncio.timeout(self._silence_s):
            return await self._call.read()

    def _hand_out(self, report: pb.StepReport) -> None:
        self._on_load(self.worker, wire.load_from_proto(report.load))
        for message in report.deltas:
            delta = wire.delta_from_proto(message)
            inbox = self._inboxes.get(delta.request_id)
            if inbox is None:
                continue
            if delta.finish is not None:
                del self._inboxes[delta.request_id]
            inbox.put_nowait(delta)

    def lose(self, why: str) -> None:
        """Give it up, at once; `close` frees what it holds."""
        if self.lost is not None:
            return
        self.lost = why
        self._call.cancel()
        inboxes, self._inboxes = self._inboxes, {}
        for request_id, inbox in inboxes.items():
            inbox.put_nowait(Lost(request_id, why))
        self._on_lost(self)
