"""Bytes of a budget while something holds them; it ends where they are needed by another tenant."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from raylax.proto.errors import Overloaded
from raylax.router.access.byte_budget import RETRY_AFTER_S, ByteBudget, Holding


@asynccontextmanager
async def held_bytes(budget: ByteBudget, tenant: str) -> AsyncIterator[Holding]:
    """A holding for as long as the block runs. Raises Overloaded within it, where it awaits, when
    another tenant with less needs the room."""
    loop = asyncio.get_running_loop()
    until = asyncio.timeout(None)
    holding = Holding(budget, tenant, lambda: until.reschedule(loop.time()))
    try:
        async with until:
            try:
                yield holding
            finally:
                holding.keep(0)
    except TimeoutError:
        if not until.expired():
            raise
        raise Overloaded(
            f"the router's {budget.most} bytes are needed for callers that have fewer of them",
            retry_after_s=RETRY_AFTER_S,
        ) from None
