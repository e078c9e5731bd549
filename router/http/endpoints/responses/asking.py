"""OpenAI's POST /v1/responses. An answer may go on from one that is kept, and is kept itself."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import replace

from pydantic_core import to_json
from starlette.requests import Request
from starlette.types import ASGIApp

from raylax.proto.answers.openai_response import ResponseWriter
from raylax.proto.errors import BodyTooLarge
from raylax.proto.openai.body import check_values
from raylax.proto.openai.responses.conversation import answering, items_for, needed_by
from raylax.proto.openai.responses.kept import KeptResponse
from raylax.proto.openai.responses.request import ResponsesRequest
from raylax.proto.openai.responses.response import PREFIX, Response
from raylax.router.access.held_bytes import held_bytes
from raylax.router.calls.models import Models
from raylax.router.http.event_stream import AnyEvent
from raylax.router.http.handler import RequestHandler
from raylax.router.http.routes import Routes
from raylax.router.prompts.call_maker import CallMaker

TOGETHER = "a conversation, with what is kept of it,"


def add_responses(routes: Routes, handler: RequestHandler) -> None:
    models = handler.models

    async def writer(make: CallMaker, body: ResponsesRequest) -> ResponseWriter:
        return await response_writer(models, make, body)

    async def responses(request: Request) -> ASGIApp:
        return await handler.answer(request, ResponsesRequest, writer)

    routes.post("/v1/responses", responses, ResponsesRequest, Response, AnyEvent)


async def response_writer(
    models: Models, make: CallMaker, body: ResponsesRequest
) -> ResponseWriter:
    """The writer of a response. If that is to be kept, and there is room, it has its place among
    those that are from now on."""
    state, tenant, id = models.state, make.origin.tenant, f"{PREFIX}{uuid.uuid4().hex}"
    async with held_bytes(state.bodies, tenant) as held:
        earlier = await models.kept_responses(needed_by(body), tenant)
        size = sum(one.size for one in earlier.values())
        held.take(size)
        make = replace(make, origin=replace(make.origin, name=id), size=make.size + size)
        body, items = await make.threads.run(make.size, lambda: asked(models, body, id, earlier))
        call = await make.chat(body.for_chat(), field="input")
    writer = ResponseWriter(call, body, make.model, int(time.time()))
    if body.store:
        writer.stored = state.kept_responses.begin(id, tenant, items, writer.written)
    return writer


def asked(
    models: Models, body: ResponsesRequest, id: str, earlier: Mapping[str, KeptResponse]
) -> tuple[ResponsesRequest, bytes]:
    """The request with all that the response of this id answers, and the items of that as they are
    kept, if anybody needs them. Raises InvalidRequest, NotFound and BodyTooLarge."""
    if not body.store and not needed_by(body):
        return body, b""
    items = items_for(body, id, earlier, models.state.kept_responses.unless_kept)
    written = to_json(items)
    if not earlier:
        return body, written
    if (most := models.config.limits.max_body_bytes) < len(written):
        raise BodyTooLarge(f"{TOGETHER} may have {most} bytes, as a body; it has {len(written)}")
    check_values(written, TOGETHER)
    return answering(body, items), written
