"""Streams that a client can come back to: each event has an id, and GET /v1/streams/ID goes on.

As EventSource does it: the header Last-Event-ID names the last event that was heard.
"""

from collections.abc import AsyncGenerator, AsyncIterator

from starlette.requests import Request

from raylax.proto.errors import InvalidRequest, shown
from raylax.router.access.caller import caller
from raylax.router.access.durations import positive_seconds
from raylax.router.calls.models import Models
from raylax.router.http.event_stream import END, EventStream, ResponseHead
from raylax.router.http.routes import Routes
from raylax.router.resume.peers import Numbered

RESUME, LAST_EVENT_ID = "X-Raylax-Resume", "Last-Event-ID"


def ttl_in(request: Request) -> float | None:
    """The seconds for which an answer shall outlive its client; None: not at all."""
    value = request.headers.get(RESUME)
    return None if value is None else positive_seconds(RESUME, value)


async def single_events(parts: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """Parts may hold several events; each is to have an id of its own."""
    async for part in parts:
        for event in part.split(END)[:-1]:
            yield event


async def with_ids(
    call_id: str, numbered: AsyncIterator[tuple[int, bytes]]
) -> AsyncGenerator[bytes]:
    async for number, event in numbered:
        yield f"id: {call_id}:{number}\n".encode() + event + END


def resumed(numbered: Numbered, head: ResponseHead, allowed_s: float) -> EventStream:
    """An answer that is kept, as events with their ids."""
    return EventStream(head, with_ids(head.call_id, numbered), numbered, allowed_s)


def last_event(request: Request, call_id: str) -> int:
    """The number in the header; 0 without one: from the start."""
    value = request.headers.get(LAST_EVENT_ID)
    if value is None:
        return 0
    named, _, number = value.rpartition(":")
    if named != call_id or not number.isdecimal():
        raise InvalidRequest(
            f"{LAST_EVENT_ID}: must be the id of an event of {call_id}, found {shown(value)}",
            param=LAST_EVENT_ID,
        )
    return int(number)


def add_resuming(routes: Routes, models: Models) -> None:
    async def go_on(request: Request) -> EventStream:
        call_id = request.path_params["call_id"]
        numbered = await models.kept(call_id, caller().tenant, last_event(request, call_id))
        head = ResponseHead(call_id, waits=False)
        return resumed(numbered, head, models.config.limits.request_timeout_s)

    routes.get("/v1/streams/{call_id}", go_on)
