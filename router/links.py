"""Step streams to the workers: commands go up, deltas come down and are handed to who waits.

A link that breaks tells every request on it, at once. Nobody waits for a worker that is gone.
"""

import asyncio
import logging
from dataclasses import dataclass, replace
from itertools import count
from typing import Protocol

import grpc
import grpc.aio

from raylax.proto import engine_pb2 as pb
from raylax.proto import engine_pb2_grpc, wire
from raylax.proto.cluster_token import metadata_of
from raylax.proto.vocabulary import Request
from raylax.router.inbox import Inbox, Leave, Lost, Said

log = logging.getLogger(__name__)
SILENCE_S = 2.0
"""A worker reports ten times a second; after this long without a word it counts as lost. To be
wrong costs some computing: its requests go on elsewhere, and it is asked again."""
OPTIONS = [
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.use_local_subchannel_pool", 1),  # a new link is a new connection
]


ATTEMPTS = count()
"""A request may come back to a worker that has not yet ended it: each attempt has its own name."""


@dataclass(slots=True)
class Attempt:
    """A request on this link."""

    request_id: str
    inbox: Inbox
    unproven: bool = False
    """It has begun there and had no token yet."""


class Listener(Protocol):
    """Hears what a link hears."""

    def reported(self, link: "Link", report: pb.StepReport) -> None:
        """Before its deltas are handed out."""
        ...

    def lost(self, link: "Link") -> None:
        """Once; nothing comes after it."""
        ...


class Link:
    """One worker's stream."""

    def __init__(
        self,
        worker: str,
        address: str,
        token: str,
        listener: Listener,
        silence_s: float = SILENCE_S,
        router_address: str = "",
    ) -> None:
        """`router_address`: where this router answers others, which hear of it by the worker."""
        self.worker, self.address, self._silence_s = worker, address, silence_s
        self._listener = listener
        self._attempts: dict[str, Attempt] = {}  # by the name that the worker knows it by
        self._names: dict[str, str] = {}  # by request: that name
        self._commands: asyncio.Queue[pb.Command] = asyncio.Queue()
        self._channel = grpc.aio.insecure_channel(address, options=OPTIONS)
        stub = engine_pb2_grpc.EngineStub(self._channel)
        self._call = stub.Attach(metadata=(*metadata_of(token), ("router-address", router_address)))
        self.lost: str | None = None
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]

    def __repr__(self) -> str:
        return f"Link({self.worker}, {self.requests} requests, lost={self.lost!r})"

    @property
    def requests(self) -> int:
        return len(self._attempts)

    def submit(self, request: Request, dispatch: int, inbox: Inbox) -> None:
        """From here on the inbox hears what is said of this request, or Lost."""
        if self.lost is not None:
            inbox.put(Lost(self.worker, request.id, self.lost))
            return
        name = f"{request.id}#{next(ATTEMPTS)}"
        self._names[request.id] = name
        self._attempts[name] = Attempt(request.id, inbox)
        submit = wire.submit_to_proto(replace(request, id=name), dispatch)
        self._commands.put_nowait(pb.Command(submit=submit))

    def drain(self) -> None:
        """Ask the worker to be rid of everybody's sequences and to end."""
        self._commands.put_nowait(pb.Command(drain=pb.Drain()))

    def ask_to_leave(self) -> None:
        """Tell every request here that its worker drains."""
        for attempt in list(self._attempts.values()):
            attempt.inbox.put(Leave(self.worker, attempt.request_id))

    def cancel(self, request_id: str) -> None:
        """Nothing is delivered for it any more; the worker frees its pages."""
        if (name := self._names.get(request_id)) is not None:
            self._end(name)
            cancel = pb.Cancel(request_id=name)
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
            self.lose(why, blame=True)

    async def _next(self) -> object:
        async with asyncio.timeout(self._silence_s):
            return await self._call.read()

    def _hand_out(self, report: pb.StepReport) -> None:
        self._listener.reported(self, report)
        for message in report.deltas:
            if (attempt := self._attempts.get(message.request_id)) is None:
                continue
            delta = wire.delta_from_proto(message, attempt.request_id)
            attempt.unproven = delta.began
            if delta.finish is not None:
                self._end(message.request_id)
            attempt.inbox.put(Said(self.worker, delta))

    def _end(self, name: str) -> None:
        """Nothing more is delivered of this attempt."""
        del self._names[self._attempts.pop(name).request_id]

    def lose(self, why: str, blame: bool = False) -> None:
        """Give it up, at once; `close` frees what it holds.

        `blame`: what it died of may be one of its requests.
        """
        if self.lost is not None:
            return
        self.lost = why
        self._call.cancel()
        attempts = list(self._attempts.values())
        self._attempts, self._names = {}, {}
        suspects = sum(attempt.unproven for attempt in attempts) if blame else 0
        for one in attempts:
            accused = blame and one.unproven
            alone = accused and suspects == 1
            one.inbox.put(Lost(self.worker, one.request_id, why, accused, alone))
        self._listener.lost(self)
