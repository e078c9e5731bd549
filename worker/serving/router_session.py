"""A router that is attached to a worker: its requests, and what it is told.

A request that comes from another worker may bring its pages along: they are fetched from there
before it is put in, and what cannot be had is computed.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from raylax.proto.errors import EngineFailure, InvalidRequest, RaylaxError
from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.vocabulary import Delta, Finish, Load, Request
from raylax.proto.wire import messages as wire
from raylax.proto.wire.frames import Connection
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.kv.page_pool import PageChanges
from raylax.worker.serving.page_transfer import fetch_pages

log = logging.getLogger(__name__)


class SessionServer(Protocol):
    """What a session needs of the step server that it belongs to."""

    engine: ThreadedEngine
    token: str
    """The cluster's, by which other workers hand out pages."""
    owner: dict[str, "RouterSession"]
    """Who sent each request that is here: an id is taken once, whoever chose it."""

    def report(self, router: "RouterSession") -> None:
        """Send a report to this router now."""
        ...

    def drain(self) -> None:
        """Take nothing more."""
        ...


@dataclass(slots=True)
class SessionRequest:
    """A request of this router."""

    dispatch: int
    coalesce: int
    held: list[int] | None = None
    """Tokens that wait for more of them; None before the first, which waits for nothing."""


class RouterSession:
    """Used on the event loop of its connection."""

    def __init__(
        self, server: SessionServer, connection: Connection, address: str, names: list[int]
    ) -> None:
        """`address`: where it answers other routers; `names` of the pages that can be found now."""
        self._server = server
        self.connection, self.address = connection, address
        self.peers: pb.Peers | None = None
        self.requests: dict[str, SessionRequest] = {}
        self._fetching: dict[str, asyncio.Task[None]] = {}
        """Requests whose pages are on their way here."""
        self.reported_at = 0.0
        self._unread_since = asyncio.get_running_loop().time()
        self._found = dict.fromkeys(names, True)  # since the last report: is it there now?
        self._snapshot = True
        self._dispatches: deque[tuple[int, int]] = deque()  # number in the engine, dispatch
        self._received = 0
        self._deltas: list[Delta] = []  # to be reported
        self._continued: list[int] = []
        self._tokens: list[int] = []

    # What the router says

    def hear(self, message: bytes) -> None:
        """Carry out one command. A command that fails ends the connection."""
        try:
            self._obey(pb.Command.FromString(message))
        except Exception as error:  # unheard commands would never be answered
            log.exception("a command of a router failed")
            self.connection.end(f"a command failed: {type(error).__name__}: {error}")

    def cancel_all(self) -> None:
        """The router is gone. Its ids stay taken until the engine has ended its requests."""
        for request_id in list(self.requests):
            self._cancel(request_id)

    def _obey(self, command: pb.Command) -> None:
        match command.WhichOneof("command"):
            case "submit":
                self._submit(command.submit)
            case "cancel":
                if command.cancel.request_id in self.requests:
                    self._cancel(command.cancel.request_id)
            case "drain":
                self._server.drain()
            case "flush":
                self._server.engine.flush()

    def _submit(self, message: pb.Submit) -> None:
        """A request that cannot be accepted ends at once, and harms no other of its name."""
        request_id = message.request_id
        if request_id in self._server.owner:
            known = InvalidRequest(f"request id {request_id} is already running")
            self._refuse(request_id, message.dispatch, known)
            return
        self._server.owner[request_id] = self
        self.requests[request_id] = SessionRequest(message.dispatch, message.coalesce)
        if message.pages_at:
            loop = asyncio.get_running_loop()
            self._fetching[request_id] = loop.create_task(self._add_with_pages(message))
            return
        with self._answering(message):
            self._add(wire.submit_from_proto(message), message.dispatch)

    async def _add_with_pages(self, message: pb.Submit) -> None:
        with self._answering(message):
            request = wire.submit_from_proto(message)
            await fetch_pages(self._server.engine, request, self._server.token)
            del self._fetching[request.id]
            self._add(request, message.dispatch)

    def _cancel(self, request_id: str) -> None:
        """One that the engine does not have yet is over at once."""
        if (fetching := self._fetching.pop(request_id, None)) is None:
            self._server.engine.abort_request(request_id)
        else:
            fetching.cancel()
            del self._server.owner[request_id]
            self.requests.pop(request_id, None)

    def _add(self, request: Request, dispatch: int) -> None:
        self._accepted(self._server.engine.add_request(request), dispatch)

    @contextmanager
    def _answering(self, message: pb.Submit) -> Iterator[None]:
        """A request that cannot be taken in is refused, whatever the reason: else nobody would
        answer it, and a stream that ended would take it to the next worker, and the next."""
        try:
            yield
        except Exception as error:
            if not isinstance(error, RaylaxError):
                log.exception("%s could not be taken in", message.request_id)
                error = EngineFailure(
                    f"the request could not be taken in: {type(error).__name__}: {error}"
                )
            self._fetching.pop(message.request_id, None)
            del self._server.owner[message.request_id]
            self._refuse(message.request_id, message.dispatch, error)

    def _refuse(self, request_id: str, dispatch: int, why: RaylaxError) -> None:
        self._accepted(0, dispatch)
        refused = Delta(request_id, finish=Finish.ERROR, error=why.message, fault=why.fault)
        self.take([refused])
        self._server.report(self)

    # What it is told

    def _accepted(self, number: int, dispatch: int) -> None:
        """The engine knows the dispatch as soon as it has taken up so many requests."""
        self._dispatches.append((number, dispatch))

    def changed(self, changes: PageChanges) -> None:
        """Told with the next report: what became of each page in the end."""
        self._found.update(dict.fromkeys(changes.removed, False))
        self._found.update(dict.fromkeys(changes.added, True))

    def take(self, deltas: list[Delta]) -> bool:
        """For the next report. False while all of it may wait."""
        ended = {delta.request_id for delta in deltas if delta.finish is not None}
        for delta in deltas:
            request = self.requests.get(delta.request_id)
            if request is None:
                self._deltas.append(delta)
            else:
                self._take(request, delta, delta.is_one_token and delta.request_id not in ended)
        for request_id in ended:
            self.requests.pop(request_id, None)
        return bool(self._deltas or self._continued)

    def _take(self, request: SessionRequest, delta: Delta, only_continues: bool) -> None:
        """Most are one token of a request that goes on: its number and the token say it all."""
        if (held := request.held) is not None:
            if only_continues:
                held.append(delta.token_ids[0])
                if len(held) >= request.coalesce:
                    self._release(delta.request_id, held)
                return
            delta = delta._replace(token_ids=(*held, *delta.token_ids))
            held.clear()
        elif delta.token_ids and request.coalesce > 1:
            request.held = []
        if only_continues and request.dispatch:
            self._continued.append(request.dispatch)
            self._tokens.append(delta.token_ids[0])
        else:
            self._deltas.append(delta)

    def _release(self, request_id: str, held: list[int]) -> None:
        self._deltas.append(Delta(request_id, tuple(held)))
        held.clear()

    def release(self) -> None:
        """Nothing waits any longer: what is told need not be computed again elsewhere."""
        for request_id, request in self.requests.items():
            if request.held:
                self._release(request_id, request.held)

    def report(self, load: Load, age_s: float, routers: int, now: float) -> None:
        """How the engine stands is said as it is now, which may be later than the deltas."""
        self.reported_at = now
        while self._dispatches and self._dispatches[0][0] <= load.taken:
            self._received = max(self._received, self._dispatches.popleft()[1])
        deltas, self._deltas = self._deltas, []
        continued, self._continued = self._continued, []
        tokens, self._tokens = self._tokens, []
        peers, self.peers = self.peers, None
        report = pb.StepReport(
            deltas=[wire.delta_to_proto(delta) for delta in deltas],
            load=wire.load_to_proto(load),
            age_s=age_s,
            received=self._received,
            routers=routers,
            pages=self._page_events(),
            peers=peers,
            continued=continued,
            tokens=tokens,
        )
        self.connection.send(report.SerializeToString())

    def _page_events(self) -> pb.PageEvents | None:
        found, self._found = self._found, {}
        snapshot, self._snapshot = self._snapshot, False
        if not (found or snapshot):
            return None
        return pb.PageEvents(
            added=[name for name, there in found.items() if there],
            removed=[name for name, there in found.items() if not there],
            snapshot=snapshot,
        )

    def reads(self, now: float, patience_s: float) -> bool:
        """False when it has taken nothing for so long."""
        if self.connection.writable.is_set():
            self._unread_since = now
        return now - self._unread_since < patience_s
