"""Receives the requests of calls: what has not come yet counts as a body does, and has its time.

gRPC keeps a message until it is whole and tells nobody how much of it has come. A usual one is
there at once; of one that is not, all that it may have is counted.
"""

import asyncio
from typing import Any

import grpc.aio

from raylax.proto.errors import BodyTooSlow, Overloaded
from raylax.router.access.byte_budget import ByteBudget, Holding
from raylax.router.access.caller import caller
from raylax.router.access.held_bytes import held_bytes

MOST_BYTES = 4 << 20
"""Of a message: gRPC's own limit."""
USUAL_BYTES = 16 << 10
SOON_S = 1.0
"""After so long without it, a message counts as large as it may be."""


class Receiver:
    """Receives what clients send, for all calls of a server."""

    def __init__(self, budget: ByteBudget, timeout_s: float) -> None:
        """`timeout_s`: for a message to arrive."""
        self._budget, self._timeout_s = budget, timeout_s

    async def next(self, context: Any) -> Any:
        """The next message of a call whose requests stream, decoded; `grpc.aio.EOF` after the last
        one. Raises Overloaded and BodyTooSlow."""
        loop = asyncio.get_running_loop()
        async with held_bytes(self._budget, caller().tenant) as held:
            held.take(USUAL_BYTES)
            timer = loop.call_later(SOON_S, count_all, held)
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await context.read()
            except TimeoutError:
                raise BodyTooSlow(
                    f"a message must come within {self._timeout_s:g} s, it has not"
                ) from None
            finally:
                timer.cancel()


def count_all(held: Holding) -> None:
    """Where there is no room for it, the message is waited for no longer."""
    try:
        held.take(MOST_BYTES - USUAL_BYTES)
    except Overloaded:
        held.give_way()


def is_end(message: Any) -> bool:
    return message is grpc.aio.EOF
