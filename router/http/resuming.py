"""Streams that a client can come back to: the answer is kept, and each event has an id.

`endpoints/streams.py` goes on with them.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator

from starlette.requests import Request

from raylax.proto.errors import RaylaxError
from raylax.router.access.durations import positive_seconds
from raylax.router.http.event_stream import END, EventStream, ResponseHead, server_sent
from raylax.router.resume.answer_log import AnswerLog
from raylax.router.resume.peers import NumberedParts

RESUME = "X-Raylax-Resume"
UNKEPT = ": ends with its router from here on: "
"""A comment of server-sent events, which clients have to skip."""


def name(call_id: str) -> str:
    """The name under which the answer to a call is kept: those of gRPC have names of their own, and
    are not told as events."""
    return f"http:{call_id}"


def ttl_in(request: Request) -> float | None:
    """The seconds for which an answer shall outlive its client; None: not at all."""
    value = request.headers.get(RESUME)
    return None if value is None else positive_seconds(RESUME, value)


async def single_events(
    parts: AsyncIterator[bytes], log: AnswerLog | None
) -> AsyncGenerator[bytes]:
    """The events of parts that may hold several: each is to have an id of its own. Once there is no
    `log` any more with which another router could go on, a comment before the next one says so."""
    told = log is None
    async for part in parts:
        for event in part.split(END)[:-1]:
            if not told and log is not None and log.lost:
                told = True
                event = f"{UNKEPT}{log.lost}\n".encode() + event
            yield event


async def with_ids(
    call_id: str, numbered: AsyncIterator[tuple[int, bytes]]
) -> AsyncGenerator[bytes]:
    """The events as they are written, with the ids that a client comes back with. What ends the
    keeping of an answer that has begun is its last event; it has no id, nobody comes back to it."""
    begun = False
    try:
        async for number, event in numbered:
            begun = True
            yield f"id: {call_id}:{number}\n".encode() + event + END
    except RaylaxError as error:
        if not begun:
            raise
        yield server_sent([("", json.dumps(error.body()).encode())])


def resumed(numbered: NumberedParts, head: ResponseHead, allowed_s: float) -> EventStream:
    """An answer that is kept, as events with their ids."""
    return EventStream(head, with_ids(head.call_id, numbered), numbered, allowed_s)
