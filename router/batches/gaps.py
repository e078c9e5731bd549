"""When a line of a batch may begin: while nobody waits, so that who comes next finds room.

A worker has a gap while nothing waits for it and half of its pages are free. One line begins there
at a time, and the next one when it is known what has become of the first.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np

from raylax.router.calls.service import Service
from raylax.router.fleet.table import Fleet

LOOK_EVERY_S = 0.02
FREE_PAGES = 0.5


def gaps(fleet: Fleet, waiting: int) -> int:
    """How many lines may begin now. `waiting`: calls that wait for their turn in this router."""
    rows = fleet.rows()
    idle = (fleet.waiting[rows] == 0) & (fleet.pending[rows] == 0)
    taken = fleet.kv[rows] + fleet.pending_kv[rows]
    roomy = taken < (1 - FREE_PAGES) * fleet.kv_capacity[rows]
    return 0 if waiting else int(np.count_nonzero(idle & roomy))


class ModelGaps:
    """Lets the lines of all batches that ask one model begin, in the order in which they ask. Used
    on one event loop."""

    def __init__(self, most: int) -> None:
        """`most`: lines that run at once."""
        self._most, self._running = most, 0
        self._turn = asyncio.Lock()
        self._left, self._looked = 0, -LOOK_EVERY_S
        """Gaps that were seen last, and when."""

    @asynccontextmanager
    async def one(self, service: Service) -> AsyncIterator[None]:
        """The block runs in a gap of the model, as it is served now."""
        async with self._turn:
            while not self._may_begin(service):  # noqa: ASYNC110  # reports come all the time
                await asyncio.sleep(LOOK_EVERY_S)
            self._left -= 1
            self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    def _may_begin(self, service: Service) -> bool:
        """Where there are no workers the first line looks for one, as any call does."""
        now = asyncio.get_running_loop().time()
        if now >= self._looked + LOOK_EVERY_S:
            fleet = service.workers.ledger.fleet
            alone = len(fleet.rows()) == 0 and not self._running
            self._left = 1 if alone else gaps(fleet, len(service.admission))
            self._looked = now
        return self._left > 0 and self._running < self._most
