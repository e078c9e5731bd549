"""The workers that this router knows: members come and go, and have a connection meanwhile."""

import logging
import random
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from raylax.proto.event_trace import ProcessTrace
from raylax.proto.pages import PAGE_SIZE, names_of, router_key
from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.vocabulary import Inspected, Load, Request
from raylax.proto.wire import messages as wire
from raylax.router.fleet.ledger import Ledger
from raylax.router.fleet.prefix_index import MOST_BYTES, PrefixIndex
from raylax.router.policies.base import Policy, RoutingChoice, RoutingRequest
from raylax.router.resume.peers import Peers
from raylax.router.workers.circuit_breaker import CircuitBreaker
from raylax.router.workers.connection import SILENCE_S, Blame, WorkerConnection
from raylax.router.workers.inbox import Inbox
from raylax.router.workers.inspection import inspect_all
from raylax.router.workers.traces import Missing, traces_of

log = logging.getLogger(__name__)
STUCK_S = 3.0
"""How much longer than expected a step may take before its worker counts as hung. A worker of
several ranks finds out sooner, and can say which one."""
LEAVE_S = 10.0
"""How long a worker that is no member any more may keep its requests. One that is stopped hands
them over, with their pages, and is gone sooner."""
MOST_PAGES = 256
"""How many pages from a prompt's beginning are looked up: more hardly ever decide otherwise."""
MOST_LOSSES = 32
"""How many of the last losses are remembered."""
FROM_ITS_START = wire.Resumption()
"""How a request goes on that has not begun."""


class Loss(NamedTuple):
    """A worker is gone from this router."""

    at: float
    """On the router's clock."""
    worker: str
    why: str
    drained: bool
    """Whether it had said that it would go."""


class Route(NamedTuple):
    """Where a request goes, how it goes on there, and why there."""

    worker: str
    request: Request
    resumption: wire.Resumption
    choice: RoutingChoice
    names: list[int]
    """Names of its first pages."""
    uncached: int
    """Tokens that are not known to be cached there."""


class PageWatcher(Protocol):
    """Hears which pages are asked for, and what becomes of them."""

    def routed(self, tokens: tuple[int, ...], names: list[int]) -> None:
        """A request brings these tokens; the names are those of its first full pages."""
        ...

    def reported(self, pages: pb.PageEvents) -> None:
        """A worker tells of its pages; the index of prefixes knows it already."""
        ...

    def lost(self) -> None:
        """A worker is gone, and the index of prefixes knows it already."""
        ...


class Workers:
    """The registry of workers: a connection to each and its books, kept in step. Used on one event
    loop."""

    def __init__(
        self,
        policy: Policy,
        token: str,
        clock: Callable[[], float],
        rng: random.Random,
        silence_s: float = SILENCE_S,
        stuck_s: float = STUCK_S,
        index_bytes: int = MOST_BYTES,
        peers: Peers | None = None,
    ) -> None:
        """`stuck_s`: how much longer than expected a step may take; `peers`: is told of the other
        routers that workers know."""
        self._policy, self._token, self._clock, self._rng = policy, token, clock, rng
        self._silence_s, self._stuck_s = silence_s, stuck_s
        self._peers = peers or Peers(token)
        self.ledger, self.prefixes = Ledger(), PrefixIndex(index_bytes)
        self.watcher: PageWatcher | None = None
        self._connections: dict[str, WorkerConnection] = {}
        self._breakers: dict[str, CircuitBreaker] = {}
        self._left: dict[str, float] = {}  # who is a worker no more, and since when
        self._routed = 0
        self.losses = deque[Loss](maxlen=MOST_LOSSES)
        """The last workers that went, the newest at the end."""

    def __repr__(self) -> str:
        return f"Workers({list(self._connections.values())}, {self.ledger})"

    def set_members(self, addresses: Mapping[str, str]) -> None:
        """`addresses` by worker id: exactly these are workers now. A lost one is tried again,
        unless its circuit is open; one that has left gets nothing more."""
        now = self._clock()
        for worker, connection in list(self._connections.items()):
            if addresses.get(worker) == connection.address:
                self._left.pop(worker, None)
            elif now - self._left.setdefault(worker, now) > LEAVE_S:
                connection.lose("it left the cluster")
            else:
                self._close_to_more(worker)
        known = addresses.keys() | self._connections.keys()
        self._breakers = {w: c for w, c in self._breakers.items() if w in known}
        for worker, address in addresses.items():
            breaker = self._breakers.setdefault(worker, CircuitBreaker())
            if worker not in self._connections and breaker.closed(now):
                ours = self._peers.address
                connection = WorkerConnection(
                    worker, address, self._token, self, self._silence_s, ours
                )
                self._connections[worker] = connection

    @property
    def ready(self) -> list[str]:
        """The workers that may be given requests."""
        fleet = self.ledger.fleet
        return sorted(fleet.ids[row] for row in fleet.rows())

    @property
    def loads(self) -> dict[str, Load]:
        """The last load that each worker has reported, by its name."""
        known = (one for one in self._connections if one in self.ledger.fleet)
        return {worker: self.ledger.load_of(worker) for worker in known}

    def route(
        self,
        request: Request,
        session: str = "",
        avoid: frozenset[str] = frozenset(),
        resumption: wire.Resumption = FROM_ITS_START,
    ) -> Route:
        """Ask the policy where a request goes. A session stays with one worker, under a policy that
        looks at it; workers to avoid are chosen only when there is no other. Raises NoCandidate
        when there is none at all."""
        fleet = self.ledger.fleet
        fleet.now = self._clock()
        all_tokens = request.prompt + resumption.history
        tokens = len(all_tokens)
        first = all_tokens[: MOST_PAGES * PAGE_SIZE]
        names = [router_key(name) for name in names_of(first, request.page_root)]
        if self.watcher is not None:
            self.watcher.routed(all_tokens, names)
        matched = self.prefixes.matched(names, len(fleet.ids)) * PAGE_SIZE
        routing = RoutingRequest(
            id=request.id,
            tokens=tokens,
            matched=matched.clip(max=tokens - 1),
            session=session,
            ordinal=self._routed,
            avoid=frozenset(fleet.row(worker) for worker in avoid if worker in fleet),
        )
        self._routed += 1
        choice = self._policy(routing, fleet, self._rng)
        uncached = tokens - int(routing.matched[choice.row])
        return Route(fleet.ids[choice.row], request, resumption, choice, names, uncached)

    def submit(self, route: Route, inbox: Inbox, coalesce: int = 1) -> None:
        """Count the request, then send it to the worker that was chosen. `coalesce`: see
        WorkerConnection."""
        now, request, resumption = self._clock(), route.request, route.resumption
        tokens = len(request.prompt) + len(resumption.history)
        dispatch = self.ledger.sent(route.worker, request.id, route.uncached, tokens, now)
        self.prefixes.promise(route.choice.row, route.names, now)
        connection = self._connections[route.worker]
        connection.submit(request, dispatch, inbox, coalesce, resumption)

    def cancel(self, worker: str, request_id: str) -> None:
        """Have a worker end a request, which is not counted there any more."""
        self.ledger.ended(worker, request_id)
        if (connection := self._connections.get(worker)) is not None:
            connection.cancel(request_id)

    def failed(self, worker: str) -> None:
        """Count a failure of a request or of its connection. Its circuit may open: then it gets
        no more."""
        if (breaker := self._breakers.get(worker)) is not None:
            now = self._clock()
            breaker.failed(now, self._rng)
            if not breaker.closed(now):
                self._close_to_more(worker)

    def succeeded(self, worker: str) -> None:
        """Note that a worker has ended a request as it should: its circuit closes."""
        if (breaker := self._breakers.get(worker)) is not None:
            breaker.succeeded()

    def drain(self, worker: str) -> bool:
        """Ask a worker to end; False for one that is not known."""
        connection = self._connections.get(worker)
        if connection is not None:
            connection.drain()
        return connection is not None

    def flush(self) -> None:
        """Ask all workers to drop the pages that no sequence uses."""
        for connection in self._connections.values():
            connection.flush()

    async def inspect(self, what: Inspected) -> dict[str, Any]:
        """What the engine of each worker says, by its name. Raises WorkerUnavailable where not all
        of them do, or InvalidRequest for what they cannot be asked."""
        addresses = {name: one.address for name, one in self._connections.items()}
        return await inspect_all(addresses, self._token, what)

    async def traces(self) -> tuple[list[ProcessTrace], Missing]:
        """What the engines of all workers have recorded, and who does not answer. Raises
        InvalidRequest where nothing is traced."""
        return await traces_of(self._connections.values(), self._token)

    def address_of(self, worker: str) -> str:
        """The address of a worker; empty for one that is gone."""
        connection = self._connections.get(worker)
        return connection.address if connection is not None else ""

    def close(self) -> None:
        """Give up all workers: the router ends."""
        for connection in list(self._connections.values()):
            connection.lose("the router ends")

    def _close_to_more(self, worker: str) -> None:
        """Give a worker nothing more until it reports again."""
        fleet = self.ledger.fleet
        if worker in fleet:
            fleet.ready[fleet.row(worker)] = False

    # What connections tell

    def reported(self, connection: WorkerConnection, report: pb.StepReport) -> None:
        """Take in a report: books, pages, peers, and whether its step is stuck."""
        worker, now = connection.worker, self._clock()
        fleet = self.ledger.fleet
        if worker not in fleet:
            self.ledger.opened(worker)
        row, load = fleet.row(worker), wire.load_from_proto(report.load)
        drains = load.draining and not self.ledger.load_of(worker).draining
        self.ledger.report(worker, load, report.age_s, report.received, report.routers, now)
        if worker in self._left or not self._breakers[worker].closed(now):
            self._close_to_more(worker)
        if report.HasField("pages"):
            pages = report.pages
            self.prefixes.apply(row, pages.added, pages.removed, pages.snapshot)
            if self.watcher is not None:
                self.watcher.reported(pages)
        if report.HasField("peers"):
            self._peers.heard(report.peers.addresses)
        if drains:
            connection.announce_draining()
        allowed = self._stuck_s if load.pace.b > 0 else 15 * self._stuck_s
        if (stuck := self.ledger.stuck_for(worker, now)) > allowed:
            connection.lose(
                f"step {load.step} has made no progress for {stuck:.1f} s", Blame.LIKELY
            )

    def lost(self, connection: WorkerConnection) -> None:
        """Called once by each connection, which is known until then: so books and connections
        stay in step."""
        del self._connections[connection.worker]
        drained = self._left.pop(connection.worker, None) is not None
        if connection.worker in self.ledger.fleet:
            drained = drained or self.ledger.load_of(connection.worker).draining
            self.losses.append(
                Loss(self._clock(), connection.worker, connection.lost or "", drained)
            )
            self.prefixes.forget(self.ledger.fleet.row(connection.worker))
            self.ledger.closed(connection.worker)
            if self.watcher is not None:
                self.watcher.lost()
        self.failed(connection.worker)
        log.warning(
            "worker %s at %s is lost: %s", connection.worker, connection.address, connection.lost
        )
