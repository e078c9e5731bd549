"""Step streams to the workers: commands go up, deltas come down and are handed to who waits.

A link that breaks tells every request on it, at once. Nobody waits for a worker that is gone.

A thread of its own reads each stream, and hands over what has come to the event loop: a report then
costs the loop less than half of what it costs to await it there.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum, auto
from itertools import count
from queue import SimpleQueue
from typing import Protocol, TypeAlias

import grpc

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


Stream: TypeAlias = "grpc._CallIterator[pb.StepReport]"
Ending = str
"""Why a stream has ended."""


class Blame(Enum):
    """Whether a worker may have died of one of its requests."""

    NO = auto()
    PERHAPS = auto()
    """It may as well be the network, or its machine."""
    LIKELY = auto()


class Listener(Protocol):
    """Hears what a link hears."""

    def reported(self, link: "Link", report: pb.StepReport) -> None:
        """Before its deltas are handed out."""
        ...

    def lost(self, link: "Link") -> None:
        """Once; nothing comes after it."""
        ...


class Link:
    """One worker's stream. Used on one event loop, but for `_read`."""

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
        self._commands: SimpleQueue[pb.Command | None] = SimpleQueue()  # None: the last
        self.lost: str | None = None
        self._loop, self._read_up = asyncio.get_running_loop(), asyncio.Event()
        self._come: deque[pb.StepReport | Ending] = deque()  # written by the reader, read here
        self._told = False  # the loop will look at them
        self._heard_at = time.monotonic()
        self._channel = grpc.insecure_channel(address, options=OPTIONS)
        stub = engine_pb2_grpc.EngineStub(self._channel)
        metadata = (*metadata_of(token), ("router-address", router_address))
        self._call = stub.Attach(iter(self._commands.get, None), metadata=metadata)
        threading.Thread(target=self._read, name=f"link to {worker}", daemon=True).start()
        self._watching = self._loop.call_later(silence_s, self._watch)

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
        self._commands.put(pb.Command(submit=submit))

    def drain(self) -> None:
        """Ask the worker to be rid of everybody's sequences and to end."""
        self._commands.put(pb.Command(drain=pb.Drain()))

    def ask_to_leave(self) -> None:
        """Tell every request here that its worker drains."""
        for attempt in list(self._attempts.values()):
            attempt.inbox.put(Leave(self.worker, attempt.request_id))

    def cancel(self, request_id: str) -> None:
        """Nothing is delivered for it any more; the worker frees its pages."""
        if (name := self._names.get(request_id)) is not None:
            self._end(name)
            self._commands.put(pb.Command(cancel=pb.Cancel(request_id=name)))

    async def close(self) -> None:
        """When this returns, none of its threads reads or writes."""
        self.lose("the link was closed")
        await self._read_up.wait()
        self._channel.close()

    def _read(self) -> None:
        """Until the stream ends. In a thread."""
        for one in reports_of(self._call):
            self._heard_at = time.monotonic()
            self._come.append(one)
            if not self._told:
                self._told = True
                self._wake(self._take_over)
        self._wake(self._read_up.set)

    def _wake(self, callback: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is left to hear of it
            self._loop.call_soon_threadsafe(callback)

    def _take_over(self) -> None:
        """Everything that has come, at once: who waits for several tokens wakes once."""
        self._told = False
        while self._come and self.lost is None:
            self._hear(self._come.popleft())

    def _hear(self, one: pb.StepReport | Ending) -> None:
        if isinstance(one, Ending):
            self.lose(one, Blame.LIKELY)
            return
        try:
            self._hand_out(one)
        except Exception:  # whatever it was: nobody may wait for a link that is not read
            log.exception("a report of worker %s was not understood", self.worker)
            self.lose("what it said was not understood", Blame.LIKELY)

    def _watch(self) -> None:
        """The thread's own time counts: a loop that is late is no silence of the worker."""
        left_s = self._heard_at + self._silence_s - time.monotonic()
        if left_s > 0:
            self._watching = self._loop.call_later(left_s, self._watch)
        else:
            self.lose(f"nothing was heard for {self._silence_s:g} s", Blame.PERHAPS)

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

    def lose(self, why: str, blame: Blame = Blame.NO) -> None:
        """Give it up, at once; `close` frees what it holds."""
        if self.lost is not None:
            return
        self.lost = why
        self._watching.cancel()
        self._call.cancel()
        self._commands.put(None)
        attempts = list(self._attempts.values())
        self._attempts, self._names = {}, {}
        suspects = sum(attempt.unproven for attempt in attempts)
        for one in attempts:
            accused = one.unproven and blame is not Blame.NO
            alone = accused and suspects == 1 and blame is Blame.LIKELY
            one.inbox.put(Lost(self.worker, one.request_id, why, accused, alone))
        self._listener.lost(self)


def reports_of(call: Stream) -> Iterator[pb.StepReport | Ending]:
    """Each as soon as it is there, then why there are no more."""
    try:
        yield from call
        yield "it ended the stream"
    except grpc.RpcError:
        yield call.details() or call.code().name
