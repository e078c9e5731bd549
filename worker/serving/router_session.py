"""A router that is attached to a worker: its requests, and what it is told."""

import asyncio
from collections import deque
from dataclasses import dataclass

from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.vocabulary import Delta, Load
from raylax.proto.wire import messages as wire
from raylax.proto.wire.frames import Connection
from raylax.worker.kv.page_pool import PageChanges


@dataclass(slots=True)
class Submitted:
    """A request of this router."""

    dispatch: int
    patience: int
    held: list[int] | None = None
    """Tokens that wait for more of them; None before the first, which waits for nothing."""


class Attached:
    """Used on the event loop of its connection."""

    def __init__(self, connection: Connection, address: str, names: list[int]) -> None:
        """`address`: where it answers other routers; `names` of the pages that can be found now."""
        self.connection, self.address = connection, address
        self.peers: pb.Peers | None = None
        self.requests: dict[str, Submitted] = {}
        self.fetching: dict[str, asyncio.Task[None]] = {}
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

    def accepted(self, number: int, dispatch: int) -> None:
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

    def _take(self, request: Submitted, delta: Delta, only_continues: bool) -> None:
        """Most are one token of a request that goes on: its number and the token say it all."""
        if (held := request.held) is not None:
            if only_continues:
                held.append(delta.token_ids[0])
                if len(held) >= request.patience:
                    self._release(delta.request_id, held)
                return
            delta = delta._replace(token_ids=(*held, *delta.token_ids))
            held.clear()
        elif delta.token_ids and request.patience > 1:
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
