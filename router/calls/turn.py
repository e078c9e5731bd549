"""Long work on the event loop, in turns between which others have theirs."""

import asyncio
from time import perf_counter

TURN_S = 0.005
"""How long others wait at most for what does not need a thread of its own."""


class Turn:
    """The time that one call may take of the loop before it lets others run."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Count from now on: others have just run."""
        self._until = perf_counter() + TURN_S

    @property
    def over(self) -> bool:
        return perf_counter() >= self._until

    async def rest(self) -> None:
        """Let others run, if it is time."""
        if self.over:
            await asyncio.sleep(0)
            self.begin()
