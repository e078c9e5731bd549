"""GET /v1/streams/ID goes on with an answer that is kept.

As EventSource does it: the header Last-Event-ID names the last event that was heard.
"""

import re

from starlette.requests import Request

from raylax.proto.errors import InvalidRequest, shown
from raylax.router.access.caller import caller
from raylax.router.calls.models import Models
from raylax.router.http.event_stream import EventStream, ResponseHead
from raylax.router.http.resuming import name, resumed
from raylax.router.http.routes import Routes

LAST_EVENT_ID = "Last-Event-ID"
EVENT_NUMBER = re.compile("[0-9]{1,18}")
"""What 64 bits hold, in which routers tell each other."""


def last_event(request: Request, call_id: str) -> int:
    """The number of the last event that the client has heard; 0 without the header: it wants all.
    Raises InvalidRequest for the id of something else."""
    value = request.headers.get(LAST_EVENT_ID)
    if value is None:
        return 0
    named, _, number = value.rpartition(":")
    if named != call_id or not EVENT_NUMBER.fullmatch(number):
        raise InvalidRequest(
            f"{LAST_EVENT_ID}: must be the id of an event of {call_id}, found {shown(value)}",
            param=LAST_EVENT_ID,
        )
    return int(number)


def add_streams(routes: Routes, models: Models) -> None:
    async def go_on(request: Request) -> EventStream:
        call_id = request.path_params["call_id"]
        numbered = await models.kept(name(call_id), caller().tenant, last_event(request, call_id))
        head = ResponseHead(call_id, waits=False)
        return resumed(numbered, head, models.config.limits.request_timeout_s)

    routes.get("/v1/streams/{call_id}", go_on)
