"""The queue before the batch: in order of service, found by id, its tokens counted.

The higher class goes first, then the tenant that has had least of its share, then who came first.
Nobody waits for ever: each minute in the queue counts as a class.
"""

import time
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from itertools import pairwise
from typing import NamedTuple

from raylax.proto.fair_share import TokenCounters
from raylax.proto.vocabulary import Priority
from raylax.worker.scheduling.sequence import Sequence

AGEING_S = 60.0
"""After which a request counts as one class higher."""


class Place(NamedTuple):
    """In the order of arrival; a number belongs to one place only."""

    order: int
    one: Sequence
    tokens: int
    """To compute, as it looked when it came: the same number leaves the count that entered it."""


class Rank(NamedTuple):
    """Of a tenant among those who wait in its class."""

    had: float
    order: int
    """Of its first place."""
    tenant: str


class Level:
    """Those who wait in one class: a line for each tenant, and the tenants in order of service."""

    def __init__(self) -> None:
        self.lines: dict[str, list[Place]] = {}
        self.ranks: list[Rank] = []
        self.since: OrderedDict[str, float] = OrderedDict()
        """When each request came into this class, oldest first."""
        self._rank_of: dict[str, Rank] = {}

    def put(self, place: Place, had: float, now: float) -> None:
        tenant = place.one.request.tenant
        insort(self.lines.setdefault(tenant, []), place)
        self.since[place.one.request.id] = now
        self.rank(tenant, had)

    def take(self, place: Place, had: float) -> None:
        tenant = place.one.request.tenant
        line = self.lines[tenant]
        del line[bisect_left(line, place)]
        if not line:
            del self.lines[tenant]
        del self.since[place.one.request.id]
        self.rank(tenant, had)

    def rank(self, tenant: str, had: float) -> None:
        """Anew, after its line or what it has had has changed."""
        line, old = self.lines.get(tenant), self._rank_of.pop(tenant, None)
        if old is not None:
            del self.ranks[bisect_left(self.ranks, old)]
        if line is not None:
            self._rank_of[tenant] = Rank(had, line[0].order, tenant)
            insort(self.ranks, self._rank_of[tenant])

    def served(self, had_then: dict[str, float]) -> Iterator[Sequence]:
        """In order of service, as if each were admitted: what its tenant would have had by then
        is kept in `had_then`. Changes nothing else, and looks at no more tenants than it has to."""
        ranks = iter(self.ranks)
        rank, due = next(ranks, None), list[tuple[Rank, int]]()
        while rank is not None or due:
            while rank is not None and (not due or rank < due[0][0]):
                had = had_then.get(rank.tenant, rank.had)
                heappush(due, (rank._replace(had=had), 0))
                rank = next(ranks, None)
            (had, _, tenant), at = heappop(due)
            line = self.lines[tenant]
            yield line[at].one
            had_then[tenant] = had = had + charge_of(line[at].one)
            if at + 1 < len(line):
                heappush(due, (Rank(had, line[at + 1].order, tenant), at + 1))


class Waiting:
    """However long the queue is, an operation is quick: it finds its place by halves."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._levels = [Level() for _ in Priority]
        self._places: dict[str, tuple[Level, Place]] = {}
        self._first = self._last = 0
        self._counters = TokenCounters()
        self._served = ""
        """The tenant of the last one who was."""
        self.tokens = 0
        """To compute, of all that wait."""

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Sequence]:
        had_then: dict[str, float] = {}
        for level in self._levels:
            yield from level.served(had_then)

    def put_last(self, one: Sequence, known: int = 0) -> None:
        """`known`: tokens of its beginning that need not be computed."""
        self._last += 1
        self._counters.lift(one.request.tenant, self._least())
        self._put(self._last, one, known)

    def put_first(self, one: Sequence, known: int = 0) -> None:
        """Before all others of its tenant and class."""
        self._first -= 1
        self._put(self._first, one, known)

    def serve(self, request_id: str) -> Sequence:
        """It is admitted, which is charged its tenant."""
        one = self.take(request_id)
        assert one is not None
        self._served = one.request.tenant
        self.charge(self._served, charge_of(one))
        return one

    def take(self, request_id: str) -> Sequence | None:
        """Out of the queue; None if it is not there."""
        if request_id not in self._places:
            return None
        level, place = self._places.pop(request_id)
        level.take(place, self._counters[place.one.request.tenant])
        self.tokens -= place.tokens
        return place.one

    def charge(self, tenant: str, tokens: float) -> None:
        """It has had so much of the engine, by its share."""
        self._counters.charge(tenant, tokens)
        for level in self._levels:
            if tenant in level.lines:
                level.rank(tenant, self._counters[tenant])

    def age(self) -> None:
        """Who has been in a class for long goes up."""
        due = self._clock() - AGEING_S
        for above, level in pairwise(self._levels):
            while level.since and next(iter(level.since.values())) <= due:
                _, place = self._places[next(iter(level.since))]
                had = self._counters[place.one.request.tenant]
                level.take(place, had)
                self._enter(above, place)

    def _put(self, order: int, one: Sequence, known: int) -> None:
        place = Place(order, one, len(one.tokens) - known)
        self.tokens += place.tokens
        self._enter(self._levels[one.request.priority], place)

    def _enter(self, level: Level, place: Place) -> None:
        self._places[place.one.request.id] = level, place
        level.put(place, self._counters[place.one.request.tenant], self._clock())

    def _least(self) -> float:
        """That anybody who waits has had, or else who was served last."""
        waiting = [level.ranks[0].had for level in self._levels if level.ranks]
        return min(waiting, default=self._counters[self._served])


def charge_of(one: Sequence) -> float:
    """For its admission: all that is to compute, by its tenant's share. Who was preempted has been
    charged before."""
    return 0 if one.begun else len(one.tokens) / one.request.share
