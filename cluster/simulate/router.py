"""A router of the simulation: the production books, prefix index and policy.

Only the newest report of a worker counts, so that a router reads its mail when it has to decide,
and of the reports the last one.
"""

import random
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from raylax.cluster.simulate.engine import SimulatedEngine, SimulatedState
from raylax.cluster.simulate.sequence import SimulatedSequence
from raylax.cluster.simulate.trace import BLOCK
from raylax.router.fleet.estimate import Estimate, estimate
from raylax.router.fleet.ledger import Ledger
from raylax.router.fleet.prefix_index import PrefixIndex
from raylax.router.policies.base import Policy, RoutingRequest


class ReportBox:
    """What one worker has said to every router. Parallel lists, by the time when it was said."""

    def __init__(self, name: str, engine: SimulatedEngine, routers: int) -> None:
        self.name, self.engine = name, engine
        self.received = [0] * routers
        """By router: the last dispatch that has come here."""
        self.said_at: list[float] = []
        self.states: list[tuple[SimulatedState, list[int]]] = []
        self.changes: list[tuple[float, list[int], list[int]]] = []

    def say(self, now: float) -> None:
        """How the engine stands, after a step and before the next."""
        self.said_at.append(now)
        self.states.append((self.engine.state(), self.received.copy()))
        pages = self.engine.pages
        if pages.added or pages.removed:
            self.changes.append((now, pages.added, pages.removed))
            pages.added, pages.removed = [], []


class RequestEnd(NamedTuple):
    """A request of a router is done; it hears so at this time."""

    heard_at: float
    row: int
    id: str


class SimulatedRouter:
    """One of the routers. Workers are rows of its fleet in the order of the boxes."""

    def __init__(
        self,
        number: int,
        routers: int,
        boxes: Sequence[ReportBox],
        policy: Policy,
        delay_s: float,
        rng: random.Random,
    ) -> None:
        self._number, self._routers = number, routers
        self._boxes, self._policy, self._delay_s, self._rng = boxes, policy, delay_s, rng
        self._ledger, self._prefixes = Ledger(), PrefixIndex()
        self._routed = 0
        self._read = [0] * len(boxes)
        self._applied = [0] * len(boxes)
        self.ends: deque[RequestEnd] = deque()
        for box in boxes:
            self._ledger.opened(box.name)

    def route(self, one: SimulatedSequence, now: float) -> int:
        """The row of the worker that gets it; it is counted as sent."""
        self._read_reports(now)
        fleet, names, tokens = self._ledger.fleet, one.arrival.names, one.arrival.prompt
        fleet.now = now
        matched = self._prefixes.matched(names, len(fleet.ids)) * BLOCK
        request = RoutingRequest(one.id, tokens, matched.clip(max=tokens - 1), ordinal=self._routed)
        self._routed += 1
        row = self._policy(request, fleet, self._rng).row
        uncached = tokens - int(request.matched[row])
        box = self._boxes[row]
        box.received[self._number] = self._ledger.sent(box.name, one.id, uncached, tokens, now)
        self._prefixes.promise(row, names, now)
        return row

    def reopen(self, row: int) -> None:
        """Another worker has this row from now on, and has said nothing yet."""
        self._read[row] = self._applied[row] = 0
        self._ledger.opened(self._boxes[row].name)
        self._prefixes.forget(row)

    def drain(self, row: int) -> None:
        """A worker gets nothing more; its engine says so, too, from now on."""
        self._ledger.fleet.ready[row] = False

    def estimate(self, now: float) -> Estimate | None:
        """What is expected at the workers; None without any."""
        self._read_reports(now)
        fleet = self._ledger.fleet
        fleet.now, rows = now, fleet.rows()
        return estimate(fleet, rows) if len(rows) else None

    def forget_read(self) -> None:
        """Let go of all reports but the last that was read. Of a single router."""
        for row, box in enumerate(self._boxes):
            read, applied = max(0, self._read[row] - 1), self._applied[row]
            del box.said_at[:read], box.states[:read], box.changes[:applied]
            self._read[row] -= read
            self._applied[row] = 0

    def _read_reports(self, now: float) -> None:
        while self.ends and self.ends[0].heard_at <= now:
            _, row, id = self.ends.popleft()
            self._ledger.ended(self._boxes[row].name, id)
        said = now - self._delay_s
        for row, box in enumerate(self._boxes):
            read, said_at = self._read[row], box.said_at
            if read < len(said_at) and said_at[read] <= said:
                self._read[row] = read = bisect_right(said_at, said, read)
                self._report(box, read - 1, now)
            changes, at = box.changes, self._applied[row]
            while at < len(changes) and changes[at][0] <= said:
                self._prefixes.apply(row, changes[at][1], changes[at][2])
                at += 1
            self._applied[row] = at

    def _report(self, box: ReportBox, at: int, now: float) -> None:
        state, received = box.states[at]
        self._ledger.report(
            box.name, box.engine.load(state), now - box.said_at[at], received[self._number],
            self._routers, now,
        )  # fmt: skip
