"""Who is next, where a few places are shared by all tenants.

Work is quick or slow. Slow work never has all places, so that quick work need not wait for its end.
Of those who wait, the tenant that has had least is next (`raylax.proto.fair_share`), and each may
wait with its part of what may wait at all (`raylax.proto.shares`).
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from raylax.proto.errors import Overloaded
from raylax.proto.fair_share import FairShareCounters
from raylax.proto.shares import ShareOf, Shares, equal

MOST_WAITING = 1024
RETRY_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Turn:
    """What somebody waits for."""

    tenant: str
    cost: float
    """What it counts, divided by the tenant's share."""
    slow: bool


Entry = tuple[Turn, "asyncio.Future[None]"]


class Turns:
    """Gives out places on one event loop."""

    def __init__(
        self,
        places: int,
        max_wait_s: float,
        most_waiting: int = MOST_WAITING,
        share_of: ShareOf = equal,
    ) -> None:
        """`places`: two at least, one of which slow work never has."""
        self._free, self._free_for_slow = places, places - 1
        self._max_wait_s = max_wait_s
        self._had = FairShareCounters()
        self._queues: dict[tuple[str, bool], deque[Entry]] = {}
        self._room = Shares(most_waiting, share_of)

    @asynccontextmanager
    async def taken(self, turn: Turn) -> AsyncIterator[None]:
        """A place for as long as the block lasts. Raises Overloaded when too many wait, or when it
        has taken too long."""
        if self._queues or not self._fits(turn.slow):
            await self._wait(turn)
        else:
            self._occupy(turn.slow)
        try:
            yield
        finally:
            self._leave(turn.slow)

    async def _wait(self, turn: Turn) -> None:
        if not self._room.take(turn.tenant, 1):
            raise Overloaded(
                f"requests are read one after another: {self._room.total} may wait, of one tenant "
                f"now {self._room.part(turn.tenant)}, it has {self._room.held(turn.tenant)}",
                retry_after_s=RETRY_AFTER_S,
            )
        self._lift(turn.tenant)
        admitted = asyncio.get_running_loop().create_future()
        key = (turn.tenant, turn.slow)
        self._queues.setdefault(key, deque()).append((turn, admitted))
        self._let_in()
        try:
            async with asyncio.timeout(self._max_wait_s):
                await admitted
        except BaseException as error:
            if admitted.done() and not admitted.cancelled():  # let in at the moment of leaving
                self._leave(turn.slow)
            if isinstance(error, TimeoutError):
                raise Overloaded(
                    f"a request may wait {self._max_wait_s:g} s until it is read, this one has "
                    "waited longer",
                    retry_after_s=RETRY_AFTER_S,
                ) from None
            raise
        finally:
            self._room.give_back(turn.tenant, 1)
            self._forget(key, (turn, admitted))

    def _forget(self, key: tuple[str, bool], entry: "Entry") -> None:
        """Take out of its queue who waits no more."""
        queue = self._queues.get(key)
        if queue is not None and entry in queue:
            queue.remove(entry)
            if not queue:
                del self._queues[key]

    def _let_in(self) -> None:
        while (key := self._next()) is not None:
            queue = self._queues[key]
            turn, admitted = queue.popleft()
            if not queue:
                del self._queues[key]
            if not admitted.done():
                self._had.charge(turn.tenant, turn.cost)
                self._occupy(turn.slow)
                admitted.set_result(None)
        if not self._queues:
            self._had.clear()

    def _next(self) -> tuple[str, bool] | None:
        """The queue whose first is next."""
        fitting = [key for key in self._queues if self._fits(key[1])]
        return min(fitting, key=lambda key: (self._had[key[0]], key[1]), default=None)

    def _fits(self, slow: bool) -> bool:
        return self._free > 0 and (not slow or self._free_for_slow > 0)

    def _occupy(self, slow: bool) -> None:
        self._free -= 1
        self._free_for_slow -= slow

    def _leave(self, slow: bool) -> None:
        self._free += 1
        self._free_for_slow += slow
        self._let_in()

    def _lift(self, tenant: str) -> None:
        there = {name for name, _ in self._queues}
        if tenant not in there:
            self._had.lift(tenant, min((self._had[name] for name in there), default=0.0))
