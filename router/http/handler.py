"""A request's way through HTTP, the same for every API: read, prepared, run, written."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from raylax.proto.answers.writer import AnswerWriter
from raylax.proto.calls.timing import Timing
from raylax.proto.errors import RaylaxError
from raylax.proto.openai.body import StrictModel, parse_body
from raylax.proto.openai.shared import CommonFields
from raylax.router.access.caller import caller
from raylax.router.access.held_bytes import held_bytes
from raylax.router.access.rate_limits import Cost, Ticket
from raylax.router.calls.lasting import LastingCall, keep
from raylax.router.calls.models import Models
from raylax.router.calls.service import Service
from raylax.router.calls.start import StartedCall, finish, start
from raylax.router.config import RouterConfig
from raylax.router.http.authentication import CALL_ID
from raylax.router.http.body import body_of
from raylax.router.http.disconnect import DisconnectWatch
from raylax.router.http.event_stream import (
    EventStream,
    ResponseHead,
    event_stream,
    server_sent,
)
from raylax.router.http.explanation import explanation_header, is_wanted
from raylax.router.http.keepalive import COMMENT
from raylax.router.http.resuming import name, resumed, single_events, ttl_in
from raylax.router.prompts.call_maker import CallMaker
from raylax.router.prompts.parse_pool import SMALL_BYTES

SESSION = "X-Session-Id"
"""Calls that name the same session are to go to the same worker; the policy `consistent-hash` looks
at it."""
EVENTS, JSONS = "text/event-stream", ("application/json", "application/*", "*/*")
KIND = "events"
"""Of answers that can be come back to: those of the APIs over HTTP."""
Parts = AsyncGenerator[bytes]
Body = TypeVar("Body", bound=CommonFields)
Parsed = TypeVar("Parsed", bound=StrictModel)
Made = TypeVar("Made")


def wants_events(request: Request) -> bool:
    """Whether its `Accept` lets the answer be server-sent events alone."""
    kinds = {
        one.partition(";")[0].strip().lower()
        for value in request.headers.getlist("accept")
        for one in value.split(",")
    }
    return EVENTS in kinds and kinds.isdisjoint(JSONS)


async def nothing(body: object, service: Service) -> None:
    """The answer is that of the call."""


def events_of(
    service: Service, writer: AnswerWriter, call: StartedCall, head: ResponseHead
) -> Parts:
    """The parts of a call's streamed answer."""
    state = service.state
    return event_stream(writer, call.events, head, state.parse_pool, state.kept_responses)


async def events_again(service: Service, writer: AnswerWriter, call: StartedCall) -> Parts:
    """The events of an answer that another router has begun. An error is one of them once there
    was another: before, the answer may be tried again."""
    head = ResponseHead(writer.call.id)
    parts = events_of(service, writer, call, head)
    async with aclosing(parts), aclosing(single_events(parts, call.log)) as events:
        async for event in events:
            head.sent = True
            yield event


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """A call that can be started, and how it is written."""

    service: Service
    writer: AnswerWriter
    timeout_s: float | None
    session: str = ""

    def explanation(self, request: Request) -> dict[str, str]:
        """The header that says why this worker was chosen, if the client has asked for it."""
        if not is_wanted(request):
            return {}
        timeline = self.service.state.timelines.find(self.writer.call.id)
        return explanation_header(timeline.explanations)


class RequestHandler:
    """Takes a request from its body to the response. Errors before the first event are raised, so
    that they have a status of their own; later ones are events."""

    def __init__(self, config: RouterConfig, models: Models) -> None:
        self._config, self.models = config, models
        models.forms[KIND] = events_again

    @asynccontextmanager
    async def read(
        self, request: Request, kind: type[Parsed], streamed: bool = False
    ) -> AsyncIterator[tuple[Parsed, int]]:
        """The request in a body, by this router's rule for fields that nobody knows, and how many
        bytes that had: the router holds them while the block runs. `streamed`: its answer is a
        stream if it does not say."""
        serving = self.models.any()
        strict = self._config.strict_fields
        async with body_of(request, self.models) as raw:
            size, parse = len(raw), partial(parse_body, kind, raw, strict, streamed)
            del raw
            body = await serving.prepare(size, parse)
            del parse
            yield body, size

    @contextmanager
    def counted(self) -> Iterator[Ticket]:
        """Work without sequences in an engine counts among what its key has running. Whoever does
        it says how many tokens it has used. Raises RateLimited."""
        state = self.models.state
        ticket = state.rate_limiter.admit(caller().tenant, Cost(), state.clock())
        try:
            yield ticket
        finally:
            ticket.close(state.clock())

    async def made(self, request: Request, size: int, making: Awaitable[Made]) -> Made:
        """What is made of a request of `size` bytes. That of a large one takes a while. Raises
        ClientLeft when nobody waits for it any more."""
        if size <= SMALL_BYTES:
            return await making
        async with DisconnectWatch(request.receive):
            return await making

    async def answer(
        self,
        request: Request,
        kind: type[Body],
        write: Callable[[CallMaker, Body], Awaitable[AnswerWriter]],
        instead: Callable[[Body, Service], Awaitable[ASGIApp | None]] = nothing,
    ) -> ASGIApp:
        """The answer to a request whose body is of this kind, streamed or whole as that says.
        `write` makes the call, and its writer; `instead`: another answer than a call's, or None."""
        async with self.read(request, kind, wants_events(request)) as (body, size):
            service = self.models.named(body.model)
            if (other := await instead(body, service)) is not None:
                return other
            writer = await self.made(request, size, write(service.maker(size), body))
        if self._config.enable_debug:
            writer.call.timing = Timing()
        session = request.headers.get(SESSION, "")
        prepared = PreparedCall(service, writer, body.timeout, session)
        streamed = body.stream
        del body  # it may have megabytes, and the answer takes minutes
        if not streamed:
            return await self.whole(request, prepared)
        try:
            return self.stream(request, prepared)
        except RaylaxError:  # nothing of it runs
            service.state.kept_responses.give_up(writer.call.id)
            raise

    def stream(self, request: Request, prepared: PreparedCall) -> EventStream:
        """Starts the call; its answer is kept for a while, if the client has asked for that."""
        service, writer, ttl_s = prepared.service, prepared.writer, ttl_in(request)
        head = ResponseHead(writer.call.id, lambda: prepared.explanation(request))
        if ttl_s is not None:
            return self._lasting(prepared, head, ttl_s)
        call = start(service, writer.call, prepared.timeout_s, prepared.session)
        parts = events_of(service, writer, call, head)
        ping = server_sent(writer.ping()) or COMMENT
        return EventStream(head, parts, call.events, call.allowed_s, ping)

    def _lasting(self, prepared: PreparedCall, head: ResponseHead, ttl_s: float) -> EventStream:
        """Starts a call whose client may come back to its answer."""
        service, writer = prepared.service, prepared.writer
        its_name = name(writer.call.id)
        lasting = LastingCall(its_name, KIND, writer.call, writer, ttl_s, prepared.session)

        def events(service: Service, writer: AnswerWriter, call: StartedCall) -> Parts:
            return single_events(events_of(service, writer, call, head), call.log)

        allowed_s = keep(service, lasting, events, prepared.timeout_s)
        return resumed(service.state.kept_answers.read(its_name, caller().tenant), head, allowed_s)

    async def whole(self, request: Request, prepared: PreparedCall) -> Response:
        """Runs the call to its end. Raises ClientLeft when nobody waits for it any more."""
        call, state = prepared.writer.call, prepared.service.state
        try:
            async with held_bytes(state.answers, caller().tenant) as held:
                async with DisconnectWatch(request.receive):
                    await finish(prepared.service, call, prepared.timeout_s, held, prepared.session)
                headers = {CALL_ID: call.id} | prepared.explanation(request)
                pool = state.parse_pool  # log-probabilities take seconds
                written = await pool.run(call.size, prepared.writer.whole)
            state.kept_responses.end(call.id)
        finally:
            state.kept_responses.give_up(call.id)
        return Response(written, 200, headers, "application/json")


def json_response(value: object) -> Response:
    """A response of a pydantic model, or of anything that JSON has."""
    return Response(to_json(value, inf_nan_mode="null"), media_type="application/json")
