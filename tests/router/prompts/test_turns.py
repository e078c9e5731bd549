"""Who is next where places are few: quick work beside slow, and every tenant in its turn."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from raylax.proto.errors import Overloaded
from raylax.router.prompts.turns import Turn, Turns

WAIT_S = 30.0


class Visits:
    """Work of tenants that lasts until it is told to end; in which order it began."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self.began: list[str] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ends: dict[str, asyncio.Event] = {}

    async def come(self, *names: str, cost: float = 1.0, slow: bool = False) -> None:
        """One comes after another; the first letter is the tenant."""
        for name in names:
            self._ends[name] = asyncio.Event()
            self._tasks[name] = asyncio.create_task(self._visit(name, Turn(name[0], cost, slow)))
            await settled()

    async def _visit(self, name: str, turn: Turn) -> None:
        async with self._turns.taken(turn):
            self.began.append(name)
            await self._ends[name].wait()

    async def end(self, *names: str) -> None:
        for name in names:
            self._ends[name].set()
            await self._tasks[name]
            await settled()

    async def leave(self, name: str) -> None:
        self._tasks[name].cancel()
        await asyncio.wait([self._tasks[name]])
        await settled()

    async def end_all(self) -> list[str]:
        """In the order in which they come to it."""
        at = 0
        while at < len(self.began):
            await self.end(self.began[at])
            at += 1
        return self.began


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@asynccontextmanager
async def visits(places: int, most_waiting: int = 100) -> AsyncIterator[Visits]:
    made = Visits(Turns(places, WAIT_S, most_waiting))
    yield made
    for task in made._tasks.values():
        task.cancel()


async def test_slow_work_leaves_a_place() -> None:
    """However much of it there is, quick work begins at once."""
    async with visits(3) as here:
        await here.come("a1", "a2", "a3", "a4", slow=True)
        assert here.began == ["a1", "a2"]

        await here.come("b1")
        assert here.began == ["a1", "a2", "b1"]

        await here.end("a1", "b1")
        assert here.began == ["a1", "a2", "b1", "a3"]


async def test_tenants_take_turns() -> None:
    """Who comes later, with less, does not wait for all that another has brought."""
    async with visits(2) as here:
        await here.come("a1", "a2", "a3", "a4", "a5", "a6")
        await here.come("b1", "b2")

        order = await here.end_all()
        assert order == ["a1", "a2", "a3", "b1", "a4", "b2", "a5", "a6"]


async def test_turns_are_by_what_they_cost() -> None:
    async with visits(2) as here:
        await here.come("a1", "a2", "a3", "a4", cost=1000.0)
        await here.come("b1", "b2", "b3", cost=1.0)

        order = await here.end_all()
        assert order == ["a1", "a2", "a3", "b1", "b2", "b3", "a4"]


async def test_who_leaves_is_not_waited_for() -> None:
    """Neither while it waits, nor with a place that it has been given."""
    async with visits(2) as here:
        await here.come("a1", "a2", "b1", "c1")
        await here.leave("b1")
        await here.leave("a1")
        assert here.began == ["a1", "a2", "c1"]

        await here.end("a2", "c1")
        await here.come("d1", "d2")
        assert here.began == ["a1", "a2", "c1", "d1", "d2"]


async def test_a_tenant_fills_its_own_part_only() -> None:
    """Another one may still wait where the first has filled the queue."""
    async with visits(2, most_waiting=4) as here:
        await here.come("a1", "a2", "a3", "a4", "a5", "a6", "a7")
        assert isinstance(here._tasks["a7"].exception(), Overloaded)

        await here.come("b1")
        assert not here._tasks["b1"].done()


async def test_who_waits_too_long_is_told() -> None:
    turns = Turns(2, max_wait_s=0.01)
    async with turns.taken(Turn("a", 1.0, slow=True)):
        with pytest.raises(Overloaded, match=r"may wait 0\.01 s"):
            async with turns.taken(Turn("b", 1.0, slow=True)):
                pass
    async with turns.taken(Turn("b", 1.0, slow=True)):
        pass
