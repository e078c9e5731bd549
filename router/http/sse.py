"""A call as server-sent events. What stands in them is the affair of its API."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Protocol

from fastapi import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from raylax.proto.call import Call
from raylax.proto.errors import EngineFailure, RaylaxError
from raylax.proto.events import TextEvent
from raylax.router.http.body import ClientLeft, unless_client_leaves
from raylax.router.http.guard import CALL_ID

log = logging.getLogger(__name__)
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
LAST_WORDS_S = 1.0
"""How long a client may take to read the end, after the call's own time."""


class Lines(Protocol):
    """How an API writes one call: in one piece, or event by event."""

    @property
    def call(self) -> Call: ...

    def whole(self) -> bytes:
        """The answer as JSON, once the call is done."""
        ...

    def begin(self) -> bytes:
        """What comes before the first event."""
        ...

    def of(self, event: TextEvent) -> bytes: ...

    def end(self) -> bytes:
        """What comes after the last event."""
        ...

    def failure(self, error: RaylaxError) -> bytes:
        """What comes instead of the end."""
        ...


async def event_stream(
    lines: Lines, first: list[TextEvent], source: AsyncGenerator[list[TextEvent]]
) -> AsyncGenerator[bytes]:
    """What came together is written together: a write costs more than a token.

    Headers are out already when this runs: an error is an event, then the stream ends.
    """
    try:
        yield lines.begin() + b"".join(map(lines.of, first))
        async for events in source:
            yield b"".join(map(lines.of, events))
        yield lines.end()
    except RaylaxError as error:
        yield lines.failure(error)
    except Exception:
        log.exception("%s failed", lines.call.id)
        yield lines.failure(EngineFailure("the router failed; its log says why"))
    finally:
        await source.aclose()


class EventStream(Response):
    """Parts of an answer as they come.

    It ends with the answer, or when the client leaves, or when the call's time is over because
    the client does not read; `source` is closed in any case, which cancels what still runs.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        call_id: str,
        parts: AsyncIterator[bytes],
        source: AsyncGenerator[Any],
        allowed_s: float,
        headers: dict[str, str] | None = None,
    ) -> None:
        """`source`: what the parts are made of."""
        super().__init__(headers=HEADERS | {CALL_ID: call_id} | (headers or {}))
        del self.headers["content-length"]
        self._call_id, self._parts, self._source = call_id, parts, source
        self._allowed_s = allowed_s + LAST_WORDS_S

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self._allowed_s):
                await unless_client_leaves(Request(scope, receive), self._write(send))
        except ClientLeft:
            pass
        except TimeoutError:
            log.warning("%s: its client did not read the answer in time", self._call_id)
        finally:
            await self._source.aclose()

    async def _write(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        async for part in self._parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
