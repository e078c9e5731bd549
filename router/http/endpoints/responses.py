"""OpenAI's POST /v1/responses. Nothing is kept: there is no response to come back to."""

import time

from starlette.requests import Request
from starlette.types import ASGIApp

from raylax.proto.answers.openai_response import PREFIX, ResponseWriter
from raylax.proto.errors import InvalidRequest
from raylax.proto.openai.responses.request import ResponsesRequest
from raylax.router.http.handler import RequestHandler
from raylax.router.http.routes import Routes
from raylax.router.prompts.call_maker import CallMaker


async def response_writer(make: CallMaker, body: ResponsesRequest) -> ResponseWriter:
    call = await make.chat(body.for_chat(), PREFIX, field="input")
    return ResponseWriter(call, body, make.model, int(time.time()))


def add_responses(routes: Routes, handler: RequestHandler) -> None:
    async def responses(request: Request) -> ASGIApp:
        return await handler.answer(request, ResponsesRequest, response_writer)

    async def kept_response(request: Request) -> ASGIApp:
        raise InvalidRequest("raylax keeps no responses; an answer is in the reply to its POST")

    routes.post("/v1/responses", responses)
    routes.add("/v1/responses/{id:path}", kept_response, "GET", "POST", "DELETE")
