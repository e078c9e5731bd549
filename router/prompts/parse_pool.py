"""Work on what is large, off the event loop: requests are checked, answers written.

Some megabytes take a while; the calls of others go on meanwhile. What is small is done at once,
since a change of threads costs more than it saves. It is all our own: what a model's files do runs
in `raylax.router.prompts`.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TypeVar

from raylax.proto.shares import ShareOf, equal
from raylax.router.prompts.turns import Turn, Turns

Result = TypeVar("Result")
SMALL_BYTES = 8 << 10
"""So many bytes take some milliseconds."""
LARGE_BYTES = 64 << 10
AT_ONCE = 2
MAX_WAIT_S = 60.0


class ParsePool:
    """A few threads, made when they are needed. Work that finds them busy waits."""

    def __init__(self, share_of: ShareOf = equal) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="parse")
        self._turns = Turns(AT_ONCE, MAX_WAIT_S, share_of=share_of)

    async def read(
        self, size: int, work: Callable[[], Result], tenant: str, share: float
    ) -> Result:
        """The result of `work`, which reads a tenant's request: in its turn, and not on all threads
        where it is long. Raises Overloaded."""
        if size <= SMALL_BYTES:
            return work()
        async with self._turns.taken(Turn(tenant, size / share, size > LARGE_BYTES)):
            return await self.run(size, work)

    async def run(self, size: int, work: Callable[[], Result]) -> Result:
        """The result of `work`, whose cost grows with a request, or an answer, of `size` bytes."""
        if size <= SMALL_BYTES:
            return work()
        in_context = partial(copy_context().run, work)  # what it warns of is known here
        return await asyncio.get_running_loop().run_in_executor(self._threads, in_context)
