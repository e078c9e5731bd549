"""What a router's next report will say: deltas of its requests, page events, what was received."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.vocabulary import Delta, Load
from raylax.proto.wire import messages as wire
from raylax.worker.kv.page_pool import PageChanges


@dataclass(slots=True)
class SessionRequest:
    """A request of a router, as far as reports are concerned."""

    dispatch: int
    """The number of its Submit, by which the router knows it in short; 0: by its id alone."""
    coalesce: int
    """So many tokens may travel together, after the first."""
    held: list[int] | None = None
    """Tokens that wait for more of them; None before the first, which waits for nothing."""


class NextReport:
    """Collects what happens between two reports to one router.

    Most deltas are one token of a request that goes on. Of those only the dispatch and the token
    travel, in two columns; all others are written out.
    """

    def __init__(self, pages: Iterable[int]) -> None:
        """`pages`: names of all that can be found now, for the first report."""
        self.peers: pb.Peers | None = None
        """All routers that are here, when they are others than the last report said."""
        self.clock: pb.ClockReading | None = None
        """What the router has asked for."""
        self._deltas: list[Delta] = []
        self._continued: list[int] = []
        self._tokens: list[int] = []
        self._dispatches: deque[tuple[int, int]] = deque()  # number in the engine, dispatch
        self._received = 0
        self._pages = dict.fromkeys(pages, True)  # since the last report: is it there now?
        self._snapshot = True

    def add_dispatch(self, number: int, dispatch: int) -> None:
        """The engine knows the dispatch as soon as it has taken up so many requests."""
        self._dispatches.append((number, dispatch))

    def add_pages(self, changes: PageChanges) -> None:
        """Of what became of a page since the last report, the last counts."""
        self._pages.update(dict.fromkeys(changes.removed, False))
        self._pages.update(dict.fromkeys(changes.added, True))

    def add_deltas(self, deltas: list[Delta], requests: Mapping[str, SessionRequest]) -> bool:
        """Deltas of one step, of these requests or of others that are gone. False while nothing
        of what was collected need be sent now."""
        ended = {delta.request_id for delta in deltas if delta.finish is not None}
        for delta in deltas:
            request = requests.get(delta.request_id)
            if request is None:
                self._deltas.append(delta)
            else:
                self._add(request, delta, delta.is_one_token and delta.request_id not in ended)
        return bool(self._deltas or self._continued)

    def _add(self, request: SessionRequest, delta: Delta, only_continues: bool) -> None:
        if (held := request.held) is not None:
            if only_continues:
                held.append(delta.token_ids[0])
                if len(held) >= request.coalesce:
                    self._add_held(delta.request_id, held)
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

    def add_held(self, requests: Mapping[str, SessionRequest]) -> None:
        """Let no token of these requests wait: what is told need not be computed elsewhere."""
        for request_id, request in requests.items():
            if request.held:
                self._add_held(request_id, request.held)

    def _add_held(self, request_id: str, held: list[int]) -> None:
        self._deltas.append(Delta(request_id, tuple(held)))
        held.clear()

    def take(self, load: Load, age_s: float, routers: int) -> pb.StepReport:
        """Everything that was collected, with the engine's load of now, which may be later than
        the deltas. `age_s`: how long ago the load was so; `routers`: how many are attached."""
        while self._dispatches and self._dispatches[0][0] <= load.taken:
            self._received = max(self._received, self._dispatches.popleft()[1])
        deltas, self._deltas = self._deltas, []
        continued, self._continued = self._continued, []
        tokens, self._tokens = self._tokens, []
        peers, self.peers = self.peers, None
        clock, self.clock = self.clock, None
        return pb.StepReport(
            deltas=[wire.delta_to_proto(delta) for delta in deltas],
            load=wire.load_to_proto(load),
            age_s=age_s,
            received=self._received,
            routers=routers,
            pages=self._take_pages(),
            peers=peers,
            continued=continued,
            tokens=tokens,
            clock=clock,
        )

    def _take_pages(self) -> pb.PageEvents | None:
        pages, self._pages = self._pages, {}
        snapshot, self._snapshot = self._snapshot, False
        if not (pages or snapshot):
            return None
        return pb.PageEvents(
            added=[name for name, there in pages.items() if there],
            removed=[name for name, there in pages.items() if not there],
            snapshot=snapshot,
        )
