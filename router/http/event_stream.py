"""A call as server-sent events. What stands in them is written by the AnswerWriter of its API."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from functools import partial
from typing import Any

from pydantic import BaseModel, ConfigDict
from starlette.types import Receive, Scope, Send

from raylax.proto.answers.writer import AnswerEvent, AnswerWriter
from raylax.proto.calls.events import TextEvent
from raylax.proto.errors import DeadlineExceeded
from raylax.router.calls.failure import failure_of
from raylax.router.calls.start import read_deadline
from raylax.router.http.authentication import CALL_ID
from raylax.router.http.disconnect import ClientLeft, DisconnectWatch
from raylax.router.http.keepalive import COMMENT, KeepAlive
from raylax.router.prompts.parse_pool import ParsePool
from raylax.router.resume.kept_responses import KeptResponses

log = logging.getLogger(__name__)
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}
END = b"\n\n"
"""Ends an event: none has an empty line within."""


class AnyEvent(BaseModel):
    """What stands in an event of an API that has many kinds of them."""

    model_config = ConfigDict(extra="allow")
    type: str


class ResponseHead:
    """Status and headers of a stream. They leave with whatever is written first, be it a ping;
    until then, an error can have a status of its own."""

    def __init__(
        self, call_id: str, more: Callable[[], Mapping[str, str]] = dict, waits: bool = True
    ) -> None:
        """`more`: gives headers that are known only when all of them leave. `waits`: they leave
        with the first part; else at once."""
        self.call_id, self.waits, self.sent = call_id, waits, False
        self._more = more

    async def send(self, send: Send) -> None:
        """Sends them, if that has not been done."""
        if self.sent:
            return
        self.sent = True
        headers = {**HEADERS, CALL_ID: self.call_id, **self._more()}
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})


def server_sent(events: Iterable[AnswerEvent]) -> bytes:
    """Events as the bytes of a stream. This runs for each token."""
    lines: list[bytes] = []
    for type, json in events:
        if type:
            lines += (b"event: ", type.encode(), b"\ndata: ", json, END)
        else:
            lines += (b"data: ", json, END)
    return b"".join(lines)


def written(writer: AnswerWriter, events: list[TextEvent]) -> bytes:
    return b"".join([server_sent(writer.add(event)) for event in events])


async def event_stream(
    writer: AnswerWriter,
    source: AsyncGenerator[list[TextEvent]],
    head: ResponseHead,
    pool: ParsePool,
    kept: KeptResponses,
) -> AsyncGenerator[bytes]:
    """The parts of a streamed answer, each of one or more whole events.

    What came together is written together, since a write costs more than a token; so the end goes
    with the last events, for it follows at once. Once the headers are out, an error is an event,
    and the stream ends; before, it is raised. What is long is written in `pool`. Nobody hears of an
    end before what has ended can be found in `kept`, if it has a place there.
    """
    begun, last = False, b""
    try:
        async for events in source:
            opening = b"" if begun else server_sent(writer.begin())  # it says what was cached
            begun = True
            size = sum([event.size for event in events])
            part = opening + await pool.run(size, partial(written, writer, events))
            if writer.call.done:
                last = part
            else:
                yield part
        ending = server_sent(writer.end())
        kept.end(writer.call.id)
        yield last + ending
    except Exception as error:
        failure = failure_of(error, writer.call.id)
        if not head.sent:
            raise failure from None
        opening = b"" if begun else server_sent(writer.begin())
        ending = server_sent(writer.failed(failure))
        kept.end(writer.call.id)
        yield last + opening + ending
    finally:
        kept.give_up(writer.call.id)
        await source.aclose()


class EventStream:
    """An ASGI response that writes the parts of an answer as they come.

    It ends with the answer, or when the client leaves, or when the call's time is over because
    the client does not read; `source` is closed in any case, which cancels what still runs.
    """

    def __init__(
        self,
        head: ResponseHead,
        parts: AsyncIterator[bytes],
        source: AsyncGenerator[Any],
        allowed_s: float,
        ping: bytes = COMMENT,
    ) -> None:
        """`source`: the iteration that the parts are made of. `ping`: what is written into
        silence."""
        self._head, self._parts, self._source = head, parts, source
        self._allowed_s, self._ping = allowed_s, ping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = self._head
        try:
            async with read_deadline(self._allowed_s), DisconnectWatch(receive):
                await self._write(send)
        except ClientLeft:
            if not head.sent:
                raise
        except TimeoutError:
            if not head.sent:
                raise DeadlineExceeded(
                    f"the answer did not begin within {self._allowed_s:g} s, its deadline"
                ) from None
            log.warning("%s: its client did not read the answer in time", head.call_id)
        finally:
            await self._source.aclose()

    async def _write(self, send: Send) -> None:
        head = self._head

        async def write(ping: bytes) -> None:
            await head.send(send)
            await send({"type": "http.response.body", "body": ping, "more_body": True})

        if not head.waits:
            await head.send(send)
        keep_alive = KeepAlive(write, self._ping)
        try:
            async for part in self._parts:
                keep_alive.said()
                if not head.sent:
                    await head.send(send)
                await send({"type": "http.response.body", "body": part, "more_body": True})
        finally:
            await keep_alive.stop()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
