"""A call as server-sent events, as OpenAI streams it."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from fastapi import Request
from pydantic_core import to_json
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from raylax.proto.call import Call, Chunk
from raylax.proto.errors import EngineFailure, RaylaxError
from raylax.proto.events import TextEvent
from raylax.router.http.body import ClientLeft, unless_client_leaves

log = logging.getLogger(__name__)
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
LAST_WORDS_S = 1.0
"""How long a client may take to read the end, after the call's own time."""


def data(chunks: Sequence[Chunk]) -> bytes:
    return b"".join(f"data: {chunk.model_dump_json()}\n\n".encode() for chunk in chunks)


HERE = "\0"
"""Stands for the text; no name and no id is just this."""


class Lines:
    """A call's events as they stream.

    Most of them are nothing but text, and then a choice's lines differ by that alone: what stands
    around it is written once, not for each token.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._around: dict[int, list[bytes]] = {}

    def of(self, event: TextEvent) -> bytes:
        around = self._around.get(event.choice)
        if around is not None and event.only_text:
            return to_json(event.text).join(around)
        written = data(self._call.chunks(event))
        if around is None:  # a choice's first chunk may have more, a role for instance
            text = data(self._call.chunks(TextEvent(event.choice, HERE)))
            self._around[event.choice] = text.split(to_json(HERE))
        return written


def failure(error: RaylaxError) -> bytes:
    return f"data: {json.dumps(error.body())}\n\n".encode()


async def event_stream(
    call: Call, first: TextEvent, events: AsyncIterator[TextEvent]
) -> AsyncIterator[bytes]:
    """Headers are out already when this runs: an error is an event, then the stream ends."""
    lines = Lines(call)
    try:
        yield lines.of(first)
        async for event in events:
            yield lines.of(event)
        yield data(call.last_chunks())
    except RaylaxError as error:
        yield failure(error)
    except Exception:
        log.exception("%s failed", call.id)
        yield failure(EngineFailure("the router failed; its log says why"))
    yield b"data: [DONE]\n\n"


class EventStream(Response):
    """The rest of a call whose first event has come.

    It ends with the answer, or when the client leaves, or when the call's time is over because
    the client does not read; `events` is closed in any case, which cancels what still runs.
    """

    media_type = "text/event-stream"

    def __init__(
        self, call: Call, first: TextEvent, events: AsyncGenerator[TextEvent], allowed_s: float
    ) -> None:
        super().__init__(headers=HEADERS | {"X-Request-Id": call.id})
        del self.headers["content-length"]
        self._call, self._first, self._events = call, first, events
        self._allowed_s = allowed_s + LAST_WORDS_S

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self._allowed_s):
                await unless_client_leaves(Request(scope, receive), self._write(send))
        except ClientLeft:
            pass
        except TimeoutError:
            log.warning("%s: its client did not read the answer in time", self._call.id)
        finally:
            await self._events.aclose()

    async def _write(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        async for part in event_stream(self._call, self._first, self._events):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
