"""Groups of ranks on every backend."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from raylax.worker.comm.shared_memory.layout import segment_bytes
from raylax.worker.comm.shared_memory.segment import SharedMemory
from raylax.worker.comm.shared_memory.threads import thread_group
from tests.support import comm_work as work
from tests.support.comm_ranks import (
    ProcessRank,
    Rank,
    ThreadRank,
    Work,
)

SECRET = b"a secret of this test"
CAPACITY = 4096
"""Of a chunk in memory: small, so that many messages need several."""
LONG_S = 60.0
"""A deadline that no test waits for."""


class Group:
    """Ranks that form a communicator, and do what a test tells all of them."""

    def __init__(self, ranks: list[Any]) -> None:
        self.ranks = ranks

    @property
    def world(self) -> int:
        return len(self.ranks)

    def begin(self, what: Work, *arguments: Any, ranks: list[int] | None = None) -> None:
        for rank in range(self.world) if ranks is None else ranks:
            self.ranks[rank].begin(what, *arguments)

    def outcomes(self, ranks: list[int] | None = None) -> list[Any]:
        """In the order of ranks; exceptions, too."""
        return [self.ranks[rank].outcome() for rank in ranks or range(self.world)]

    def outcomes_of(self, what: Work, *arguments: Any, ranks: list[int] | None = None) -> list[Any]:
        self.begin(what, *arguments, ranks=ranks)
        return self.outcomes(ranks)

    def run(self, what: Work, *arguments: Any) -> list[Any]:
        """The same on every rank. Raises what any of them raised."""
        return results(self.outcomes_of(what, *arguments))


def results(outcomes: list[Any]) -> list[Any]:
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return outcomes


class Pool:
    """Processes that are ranks of one group after the other, because starting them takes time."""

    def __init__(self) -> None:
        self._idle: list[ProcessRank] = []

    def take(self, count: int) -> list[ProcessRank]:
        while len(self._idle) < count:
            self._idle.append(ProcessRank())
        return [self._idle.pop() for _ in range(count)]

    def give_back(self, ranks: list[ProcessRank]) -> None:
        self._idle += ranks

    def close(self) -> None:
        for rank in self._idle:
            rank.leave()


Former = Callable[[list[Any], float], None]


def threads(ranks: list[Rank], timeout_s: float) -> None:
    """Lets them meet as threads of one process."""
    communicators = thread_group(len(ranks), timeout_s, CAPACITY)
    for rank, communicator in zip(ranks, communicators, strict=True):
        rank.begin(work.take, communicator)
    results([rank.outcome() for rank in ranks])


def shared(ranks: list[Rank], timeout_s: float) -> None:
    """Lets them meet in shared memory."""
    world = len(ranks)
    size = segment_bytes(world, CAPACITY)
    with SharedMemory.create(size) as memory:
        for number, rank in enumerate(ranks):
            rank.begin(work.attach, memory.address, size, number, world, timeout_s)
        results([rank.outcome() for rank in ranks])


def tcp(ranks: list[Rank], timeout_s: float) -> None:
    """Each rank on a host of its own, as far as addresses go."""
    world = len(ranks)
    ranks[0].begin(work.listen, "127.0.0.2")
    (leader,) = results([ranks[0].outcome()])
    ranks[0].begin(work.lead, world, SECRET, timeout_s, LONG_S)
    for number in range(1, world):
        host = f"127.0.0.{2 + number}"
        ranks[number].begin(work.join, leader, number, world, SECRET, timeout_s, host, LONG_S)
    results([rank.outcome() for rank in ranks])


FORMERS: dict[str, Former] = {"threads": threads, "shared": shared, "tcp": tcp}


@contextmanager
def group_of(backend: str, world: int, pool: Pool, timeout_s: float = LONG_S) -> Iterator[Group]:
    """Its processes go back to the pool, but for those that a test has stopped or killed."""
    ranks: list[Any]
    ranks = [ThreadRank() for _ in range(world)] if backend == "threads" else pool.take(world)
    try:
        FORMERS[backend](ranks, timeout_s)
        yield Group(ranks)
        whole = [rank for rank in ranks if not rank.spoiled]
        Group(whole).run(work.close)
    except BaseException:
        whole = []
        raise
    finally:
        for rank in ranks:
            if backend == "threads" or rank not in whole:
                rank.leave()
    if backend != "threads":
        pool.give_back(whole)
