"""The feed of the page at /dashboard: a snapshot a second, as server-sent events.

One is made whatever the number of those who watch, and none while nobody does. Each is whole: who
reads slowly misses some, and nothing waits for him.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from starlette.types import Receive, Scope, Send

from raylax.proto.errors import Overloaded
from raylax.router.http.disconnect import ClientLeft, DisconnectWatch
from raylax.router.http.event_stream import HEADERS, server_sent

EVERY_S = 1.0
MOST_WATCHERS = 16
LASTS_S = 20.0
"""After which a stream ends, and the page begins another one: a router that ends waits for its
streams, and by then others are asked. A key that is taken away counts no longer than that."""
READ_S = 5.0
"""For a reader to take a snapshot; a slower one is cut off."""
Make = Callable[[], Awaitable[bytes]]


class Feed:
    """Makes snapshots while somebody watches. Used on one event loop."""

    def __init__(
        self,
        make: Make,
        every_s: float = EVERY_S,
        lasts_s: float = LASTS_S,
        most: int = MOST_WATCHERS,
    ) -> None:
        """`make`: a snapshot in JSON, as it is now."""
        self._make, self._every_s, self._lasts_s, self._most = make, every_s, lasts_s, most
        self._watchers = 0
        self._last: bytes | None = None
        self._making: asyncio.Task[bytes] | None = None

    @property
    def watchers(self) -> int:
        """How many watch now."""
        return self._watchers

    async def watch(self) -> AsyncGenerator[bytes]:
        """Snapshots as they are made, the last one at once, as long as a stream lasts. Raises
        Overloaded where too many watch, and what making one does."""
        if self._watchers >= self._most:
            raise Overloaded(
                f"at most {self._most} pages may watch one router, and as many do",
                retry_after_s=self._lasts_s,
            )
        self._watchers += 1
        ends_at = asyncio.get_running_loop().time() + self._lasts_s
        try:
            if self._last is not None:
                yield self._last
            while asyncio.get_running_loop().time() < ends_at:
                yield await asyncio.shield(self._upcoming())
        finally:
            self._watchers -= 1
            if not self._watchers:
                if self._making is not None:
                    self._making.cancel()
                self._making = self._last = None

    def _upcoming(self) -> asyncio.Task[bytes]:
        """The next snapshot, which all who watch wait for."""
        if self._making is None or self._making.done():
            self._making = asyncio.create_task(self._made())
        return self._making

    async def _made(self) -> bytes:
        if self._last is not None:
            await asyncio.sleep(self._every_s)
        self._last = await self._make()
        return self._last


class FeedStream:
    """An ASGI response of what a feed says, until it ends, or its reader does not read."""

    def __init__(self, feed: Feed, read_s: float = READ_S) -> None:
        self._feed, self._read_s = feed, read_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
        parts = self._feed.watch()
        try:
            async with DisconnectWatch(receive):
                snapshot = await anext(parts)
                await send({"type": "http.response.start", "status": 200, "headers": raw})
                await self._write(snapshot, send)
                async for snapshot in parts:
                    await self._write(snapshot, send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            raise ClientLeft from None
        finally:
            await parts.aclose()

    async def _write(self, snapshot: bytes, send: Send) -> None:
        body = server_sent([("snapshot", snapshot)])
        async with asyncio.timeout(self._read_s):
            await send({"type": "http.response.body", "body": body, "more_body": True})
