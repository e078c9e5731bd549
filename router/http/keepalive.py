"""Signs of life in a stream that has nothing to say: a long prefill, a queue, a lost worker.

Proxies take a connection for dead after as little as 30 s of silence. A ping is no event: it has no
id, nobody keeps it, and an answer is the same whether some were heard or not.
"""

import asyncio
from collections.abc import Awaitable, Callable

PING_S = 10.0
"""A ping comes after so much silence, or up to twice of it."""
COMMENT = b": ping\n\n"
"""A comment of server-sent events, which clients have to skip."""


class KeepAlive:
    """Writes pings into one stream while that is silent, between its parts, which are whole
    events."""

    def __init__(self, write: Callable[[bytes], Awaitable[None]], ping: bytes) -> None:
        """`ping`: what is written after the first part; before that, comments are."""
        self._write, self._ping = write, ping
        self._begun, self._quiet = False, True
        self._pinging: asyncio.Future[None] | None = None
        self._wait()

    def said(self) -> None:
        """Notes that the stream has said something; this costs each token next to nothing."""
        self._begun, self._quiet = True, False

    async def stop(self) -> None:
        """When this returns, no ping is being written."""
        self._timer.cancel()
        if self._pinging is not None:
            self._pinging.cancel()
            await asyncio.gather(self._pinging, return_exceptions=True)

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(PING_S, self._look)

    def _look(self) -> None:
        """One ping at a time: a client that does not read hears of the next when it does."""
        if self._quiet and (self._pinging is None or self._pinging.done()):
            ping = self._ping if self._begun else COMMENT
            self._pinging = asyncio.ensure_future(self._write(ping))
        self._quiet = True
        self._wait()
