"""The queue before the batch: in order of service, found by id, its tokens counted.

Tenants that hold fewer seats than their due go first, so far. For all that is left the higher class
goes first, then the tenant that has had least of its share, then who came first. Nobody waits for
ever: each minute in the queue counts as a class.
"""

import time
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Set
from heapq import heappop, heappush
from itertools import islice, pairwise
from typing import NamedTuple

from raylax.proto.fair_share import FairShareCounters
from raylax.proto.vocabulary import Priority
from raylax.worker.scheduling.decision.division import PresentTenants
from raylax.worker.scheduling.sequence import Sequence

AGEING_S = 60.0
"""After which a request counts as one class higher."""


class QueueEntry(NamedTuple):
    """A sequence that waits, in the order of arrival. No two entries have the same number."""

    order: int
    one: Sequence
    tokens: int
    """To compute, as it looked when it was counted: the queue's count loses what it got."""
    ready: bool
    """As it was then, too."""


class TenantRank(NamedTuple):
    """The place of a tenant among those that wait in its class: who has had least goes first."""

    had: float
    """Tokens, by its share."""
    order: int
    """Of its first entry."""
    tenant: str


class PriorityQueue:
    """The sequences of one class: a line for each tenant, and the tenants in order of service."""

    def __init__(self) -> None:
        self.lines: dict[str, list[QueueEntry]] = {}
        self.tenants: list[TenantRank] = []
        self.since: OrderedDict[str, float] = OrderedDict()
        """When each request came into this class, oldest first."""
        self._rank_of: dict[str, TenantRank] = {}

    def put(self, entry: QueueEntry, had: float, now: float) -> None:
        """`had`: what the entry's tenant has had of the engine."""
        tenant = entry.one.request.tenant
        insort(self.lines.setdefault(tenant, []), entry)
        self.since[entry.one.request.id] = now
        self.rank(tenant, had)

    def pop(self, entry: QueueEntry, had: float) -> None:
        tenant = entry.one.request.tenant
        line = self.lines[tenant]
        del line[bisect_left(line, entry)]
        if not line:
            del self.lines[tenant]
        del self.since[entry.one.request.id]
        self.rank(tenant, had)

    def replace(self, entry: QueueEntry, by: QueueEntry) -> None:
        """Put another entry of the same order in the place of one."""
        line = self.lines[entry.one.request.tenant]
        line[bisect_left(line, entry)] = by

    def rank(self, tenant: str, had: float) -> None:
        """Find the tenant its rank anew, after its line or what it has had has changed."""
        line, old = self.lines.get(tenant), self._rank_of.pop(tenant, None)
        if old is not None:
            del self.tenants[bisect_left(self.tenants, old)]
        if line is not None:
            self._rank_of[tenant] = TenantRank(had, line[0].order, tenant)
            insort(self.tenants, self._rank_of[tenant])

    def in_order(
        self, had_then: dict[str, float], without: Set[str] = frozenset()
    ) -> Iterator[Sequence]:
        """The sequences in order of service, as if each that is ready were admitted: what its
        tenant would have had by then is kept in `had_then`. Changes nothing else, and looks at no
        more tenants than it has to. `without`: ids that are passed over."""
        ranks = iter(self.tenants)
        rank, due = next(ranks, None), list[tuple[TenantRank, int]]()
        while rank is not None or due:
            while rank is not None and (not due or rank < due[0][0]):
                had = had_then.get(rank.tenant, rank.had)
                heappush(due, (rank._replace(had=had), 0))
                rank = next(ranks, None)
            (had, _, tenant), at = heappop(due)
            line = self.lines[tenant]
            one = line[at].one
            if one.request.id not in without:
                yield one
                if one.ready:
                    had_then[tenant] = had = had + charge_of(one)
            if at + 1 < len(line):
                heappush(due, (TenantRank(had, line[at + 1].order, tenant), at + 1))


class WaitingQueue:
    """Every class with its tenants. However long the queue is, an operation is quick: it finds an
    entry by halves."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._queues = [PriorityQueue() for _ in Priority]
        self._entries: dict[str, tuple[PriorityQueue, QueueEntry]] = {}
        self._first = self._last = 0
        self._counters = FairShareCounters()
        self._served = ""
        """The tenant of the last one who was."""
        self.tokens = 0
        """To compute, of all that wait."""
        self.ready = 0
        """How many of them are."""
        self.tenants = PresentTenants()
        """Of those."""

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Sequence]:
        return self.in_order({}, {})

    def in_order(self, claims: Mapping[str, int], wanted: Mapping[str, int]) -> Iterator[Sequence]:
        """The sequences in order of service, as if each that is ready were admitted. At first come
        so many of each of these tenants, whatever their class: first of whose who run want fewest
        tokens, by its share."""
        had_then, came = dict[str, float](), set[str]()
        for one in self._claiming(claims, wanted, had_then):
            came.add(one.request.id)
            yield one
        for queue in self._queues:
            yield from queue.in_order(had_then, came)

    def counted(self) -> Iterator[tuple[Sequence, int]]:
        """Everyone, in no order, with the tokens that were counted for each."""
        return ((entry.one, entry.tokens) for _, entry in self._entries.values())

    def put_last(self, one: Sequence, known: int = 0) -> None:
        """Queue a sequence that has come; `known` tokens of its beginning need not be computed."""
        self._last += 1
        self._counters.lift(one.request.tenant, self._least())
        self._put(self._last, one, known)

    def put_first(self, one: Sequence, known: int = 0) -> None:
        """Queue a sequence that was preempted: before all others of its tenant and class."""
        self._first -= 1
        self._put(self._first, one, known)

    def serve(self, request_id: str) -> Sequence:
        """Take out a sequence that is admitted, which its tenant is charged for."""
        one = self.pop(request_id)
        assert one is not None
        self._served = one.request.tenant
        self.charge(self._served, charge_of(one))
        return one

    def get(self, request_id: str) -> Sequence | None:
        """A sequence that waits; None if it is not there."""
        return self._entries[request_id][1].one if request_id in self._entries else None

    def recount(self, one: Sequence, known: int) -> None:
        """Count a sequence anew, of which more is known, or which has become ready. Its place
        stays."""
        queue, entry = self._entries[one.request.id]
        counted = entry._replace(tokens=len(one.tokens) - known, ready=one.ready)
        queue.replace(entry, counted)
        self._entries[one.request.id] = queue, counted
        self._count(entry, -1)
        self._count(counted, 1)

    def pop(self, request_id: str) -> Sequence | None:
        """Take a sequence out; None if it is not there."""
        if request_id not in self._entries:
            return None
        queue, entry = self._entries.pop(request_id)
        queue.pop(entry, self._counters[entry.one.request.tenant])
        self._count(entry, -1)
        return entry.one

    def had(self, tenant: str) -> float:
        """What a tenant has had so far, in tokens by its share."""
        return self._counters[tenant]

    def charge(self, tenant: str, tokens: float) -> None:
        """The tenant has had so much more of the engine; `tokens` by its share."""
        self._counters.charge(tenant, tokens)
        for queue in self._queues:
            if tenant in queue.lines:
                queue.rank(tenant, self._counters[tenant])

    def age(self) -> None:
        """Move up who has been in a class for long."""
        due = self._clock() - AGEING_S
        for above, queue in pairwise(self._queues):
            while queue.since and next(iter(queue.since.values())) <= due:
                _, entry = self._entries[next(iter(queue.since))]
                had = self._counters[entry.one.request.tenant]
                queue.pop(entry, had)
                self._enter(above, entry)

    def _claiming(
        self, claims: Mapping[str, int], wanted: Mapping[str, int], had_then: dict[str, float]
    ) -> Iterator[Sequence]:
        """So many of each tenant's that are ready, and then what they have had."""
        due = list[tuple[float, float, QueueEntry, Iterator[QueueEntry]]]()
        for tenant, count in claims.items():
            line: Iterator[QueueEntry] = islice(self._ready(tenant), count)
            if (first := next(line, None)) is not None:
                tokens = wanted.get(tenant, 0) / first.one.request.share
                heappush(due, (tokens, self._counters[tenant], first, line))
        while due:
            tokens, had, entry, line = heappop(due)
            yield entry.one
            tenant = entry.one.request.tenant
            had_then[tenant] = had = had + charge_of(entry.one)
            if (then := next(line, None)) is not None:
                tokens += entry.tokens / entry.one.request.share
                heappush(due, (tokens, had, then, line))

    def _ready(self, tenant: str) -> Iterator[QueueEntry]:
        """A tenant's that are ready, the higher class first."""
        for queue in self._queues:
            for entry in queue.lines.get(tenant, ()):
                if entry.one.ready:
                    yield entry

    def _put(self, order: int, one: Sequence, known: int) -> None:
        entry = QueueEntry(order, one, len(one.tokens) - known, one.ready)
        self._count(entry, 1)
        self._enter(self._queues[one.request.priority], entry)

    def _count(self, entry: QueueEntry, times: int) -> None:
        self.tokens += times * entry.tokens
        if entry.ready:
            self.ready += times
            self.tenants.count(entry.one.request, times)

    def _enter(self, queue: PriorityQueue, entry: QueueEntry) -> None:
        self._entries[entry.one.request.id] = queue, entry
        queue.put(entry, self._counters[entry.one.request.tenant], self._clock())

    def _least(self) -> float:
        """The least that a waiting tenant has had, or else what the last one served has had."""
        waiting = [queue.tenants[0].had for queue in self._queues if queue.tenants]
        return min(waiting, default=self._counters[self._served])


def charge_of(one: Sequence) -> float:
    """The price of an admission: all tokens to compute, by the tenant's share. A sequence that was
    preempted has paid before."""
    return 0 if one.begun else len(one.tokens) / one.request.share
