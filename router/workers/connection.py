"""Connections to the workers: commands go up, reports come down and are handed to who waits.

A connection that breaks tells every request on it, at once: nobody waits for a worker that is
gone.
"""

import asyncio
import logging
import time
from dataclasses import dataclass
from enum import Enum, auto
from itertools import count
from typing import Protocol

from raylax.proto.event_trace import ClockOffset
from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.vocabulary import Delta, Request
from raylax.proto.wire import messages as wire
from raylax.proto.wire.frames import Connection, EndReason
from raylax.proto.wire.introduction import Introduction
from raylax.router.workers.inbox import (
    Inbox,
    WorkerDraining,
    WorkerLost,
    WorkerOutput,
)

log = logging.getLogger(__name__)
SILENCE_S = 2.0
"""A worker reports ten times a second; after this long without a word it counts as lost. To be
wrong costs some computing: its requests go on elsewhere, and it is asked again."""
ATTEMPTS = count()
"""A request may come back to a worker that has not yet ended it: each attempt there has its own
name."""


READINGS = count()
ROUNDS = 5
"""In which a clock is read."""
READING_S = 2.0


@dataclass(slots=True)
class InFlight:
    """A request that was sent up a connection and has not ended."""

    request_id: str
    name: str
    """The worker's, for it."""
    dispatch: int
    inbox: Inbox
    unproven: bool = False
    """Whether it has begun there and had no token yet."""


@dataclass(slots=True)
class ClockQuestion:
    """A worker was asked what its clock says."""

    asked: float
    answer: asyncio.Future[ClockOffset]

    def answered(self, says: float) -> None:
        """It was read some time between the question and now, when it is heard."""
        error = (time.monotonic() - self.asked) / 2
        if not self.answer.done():
            self.answer.set_result(ClockOffset(self.asked + error - says, error))


class Blame(Enum):
    """Whether a worker may have died of one of its requests."""

    NO = auto()
    PERHAPS = auto()
    """The network or the machine may as well be the reason."""
    LIKELY = auto()


BLAME = {
    EndReason.CLOSED: Blame.NO,
    EndReason.SILENT: Blame.PERHAPS,
    EndReason.BROKEN: Blame.LIKELY,
}


class ReportListener(Protocol):
    """Hears what a connection hears."""

    def reported(self, connection: "WorkerConnection", report: pb.StepReport) -> None:
        """Called for each report, before its deltas are handed out."""
        ...

    def lost(self, connection: "WorkerConnection") -> None:
        """Called once; nothing comes after it."""
        ...


class WorkerConnection:
    """A connection to one worker: requests go up, and what it says of each goes into the inbox of
    its call. Used on one event loop."""

    def __init__(
        self,
        worker: str,
        address: str,
        token: str,
        listener: ReportListener,
        silence_s: float = SILENCE_S,
        router_address: str = "",
    ) -> None:
        """`router_address`: where this router answers others, which hear of it by the worker."""
        self.worker, self.address = worker, address
        self._listener = listener
        self._by_request: dict[str, InFlight] = {}
        self._by_name: dict[str, InFlight] = {}
        self._by_dispatch: dict[int, InFlight] = {}
        self._readings: dict[int, ClockQuestion] = {}
        self.lost: str | None = None
        self._frames = Connection(self._hear, self._ended, silence_s)
        hello = pb.Hello(attach=pb.Attach(router_address=router_address))
        self._frames.connect(address, Introduction(token, hello.SerializeToString()))

    def __repr__(self) -> str:
        return f"WorkerConnection({self.worker}, {self.requests} requests, lost={self.lost!r})"

    @property
    def requests(self) -> int:
        """How many requests have not ended there."""
        return len(self._by_request)

    def submit(
        self,
        request: Request,
        dispatch: int,
        inbox: Inbox,
        coalesce: int = 1,
        resumption: wire.Resumption | None = None,
    ) -> None:
        """Send a request: from here on the inbox hears what is said of it, or that it is lost.
        `coalesce`: after the first, so many tokens may come together. `resumption`: in place of
        what the request says of it."""
        if self.lost is not None:
            inbox.put(WorkerLost(self.worker, request.id, self.lost))
            return
        name = f"{request.id}#{next(ATTEMPTS)}"
        in_flight = InFlight(request.id, name, dispatch, inbox)
        self._by_request[request.id] = self._by_name[name] = self._by_dispatch[dispatch] = in_flight
        submit = wire.submit_to_proto(request, dispatch, name, coalesce, resumption)
        self._command(pb.Command(submit=submit))

    def drain(self) -> None:
        """Ask the worker to be rid of everybody's sequences and to end."""
        self._command(pb.Command(drain=pb.Drain()))

    def flush(self) -> None:
        """Ask the worker to drop the pages that no sequence uses."""
        self._command(pb.Command(flush=pb.Flush()))

    async def clock_offset(self) -> ClockOffset:
        """How far the worker's monotonic clock is from ours, by the quickest of some round trips.
        Raises TimeoutError."""
        return min([await self._read_clock() for _ in range(ROUNDS)], key=lambda one: one.error_s)

    async def _read_clock(self) -> ClockOffset:
        answer: asyncio.Future[ClockOffset] = asyncio.get_running_loop().create_future()
        number = next(READINGS)
        self._readings[number] = ClockQuestion(time.monotonic(), answer)
        try:
            self._command(pb.Command(read_clock=pb.ReadClock(number=number)))
            async with asyncio.timeout(READING_S):
                return await answer
        finally:
            del self._readings[number]

    def announce_draining(self) -> None:
        """Tell every request here that its worker drains."""
        for in_flight in list(self._by_request.values()):
            in_flight.inbox.put(WorkerDraining(self.worker, in_flight.request_id))

    def cancel(self, request_id: str) -> None:
        """Have the worker end a request and free its pages. Nothing is delivered of it any more."""
        if (in_flight := self._by_request.get(request_id)) is not None:
            self._end(in_flight)
            self._command(pb.Command(cancel=pb.Cancel(request_id=in_flight.name)))

    def _command(self, command: pb.Command) -> None:
        self._frames.send(command.SerializeToString())

    def _hear(self, message: bytes) -> None:
        try:
            self._hand_out(pb.StepReport.FromString(message))
        except Exception:  # whatever it was: nobody may wait for a connection that is not read
            log.exception("a report of worker %s was not understood", self.worker)
            self.lose("what it said was not understood", Blame.LIKELY)

    def _ended(self, how: EndReason, why: str) -> None:
        self.lose(why or "it ended the stream", BLAME[how])

    def _hand_out(self, report: pb.StepReport) -> None:
        if report.HasField("clock") and (asked := self._readings.get(report.clock.number)):
            asked.answered(report.clock.now_s)
        self._listener.reported(self, report)
        worker = self.worker
        for message in report.deltas:
            if (in_flight := self._by_name.get(message.request_id)) is None:
                continue
            delta = wire.delta_from_proto(message, in_flight.request_id)
            in_flight.unproven = delta.began
            if delta.finish is not None:
                self._end(in_flight)
            in_flight.inbox.put(WorkerOutput(worker, delta))
        for dispatch, token in zip(report.continued, report.tokens, strict=True):
            if (continued := self._by_dispatch.get(dispatch)) is not None:
                continued.unproven = False
                continued.inbox.put(WorkerOutput(worker, Delta(continued.request_id, (token,))))

    def _end(self, in_flight: InFlight) -> None:
        """Deliver nothing more of a request."""
        del self._by_request[in_flight.request_id]
        del self._by_name[in_flight.name], self._by_dispatch[in_flight.dispatch]

    def lose(self, why: str, blame: Blame = Blame.NO) -> None:
        """Give the worker up at once: every request here hears of it."""
        if self.lost is not None:
            return
        self.lost = why
        self._frames.abort()
        requests = list(self._by_request.values())
        self._by_request, self._by_name, self._by_dispatch = {}, {}, {}
        suspects = sum(one.unproven for one in requests)
        for one in requests:
            accused = one.unproven and blame is not Blame.NO
            alone = accused and suspects == 1 and blame is Blame.LIKELY
            one.inbox.put(WorkerLost(self.worker, one.request_id, why, accused, alone))
        self._listener.lost(self)
