"""A router that is attached to a worker: its requests, and what it is told."""

import asyncio
from collections import deque

from raylax.proto import engine_pb2 as pb
from raylax.proto import wire
from raylax.proto.frames import Connection
from raylax.proto.vocabulary import Delta, Load
from raylax.worker.pages import PageChanges


class Attached:
    """Used on the event loop of its connection."""

    def __init__(self, connection: Connection, address: str, names: list[int]) -> None:
        """`address`: where it answers other routers; `names` of the pages that can be found now."""
        self.connection, self.address = connection, address
        self.peers: pb.Peers | None = None
        self.requests: dict[str, int] = {}
        """Dispatch numbers by id."""
        self.fetching: dict[str, asyncio.Task[None]] = {}
        """Requests whose pages are on their way here."""
        self.reported_at = 0.0
        self._unread_since = asyncio.get_running_loop().time()
        self._found = dict.fromkeys(names, True)  # since the last report: is it there now?
        self._snapshot = True
        self._dispatches: deque[tuple[int, int]] = deque()  # number in the engine, dispatch
        self._received = 0

    def accepted(self, number: int, dispatch: int) -> None:
        """The engine knows the dispatch as soon as it has taken up so many requests."""
        self._dispatches.append((number, dispatch))

    def changed(self, changes: PageChanges) -> None:
        """Told with the next report: what became of each page in the end."""
        self._found.update(dict.fromkeys(changes.removed, False))
        self._found.update(dict.fromkeys(changes.added, True))

    def report(
        self, deltas: list[Delta], load: Load, age_s: float, routers: int, now: float
    ) -> None:
        """How the engine stands is said as it is now, which may be later than the deltas."""
        self.reported_at = now
        others, continued, tokens = self._sorted(deltas)
        while self._dispatches and self._dispatches[0][0] <= load.taken:
            self._received = max(self._received, self._dispatches.popleft()[1])
        peers, self.peers = self.peers, None
        report = pb.StepReport(
            deltas=[wire.delta_to_proto(delta) for delta in others],
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

    def _sorted(self, deltas: list[Delta]) -> tuple[list[Delta], list[int], list[int]]:
        """Most are one token of a request that goes on: its number and the token say it all."""
        ended = {delta.request_id for delta in deltas if delta.finish is not None}
        others: list[Delta] = []
        continued: list[int] = []
        tokens: list[int] = []
        for delta in deltas:
            dispatch = self.requests.get(delta.request_id)
            if dispatch and delta.is_one_token and delta.request_id not in ended:
                continued.append(dispatch)
                tokens.append(delta.token_ids[0])
            else:
                others.append(delta)
        for request_id in ended:
            self.requests.pop(request_id, None)
        return others, continued, tokens

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
