"""OpenAI's POST /v1/responses. Nothing is kept: there is no response to come back to."""

import time

from fastapi import FastAPI, Request
from fastapi.responses import Response

from raylax.proto.errors import InvalidRequest
from raylax.proto.frontend import Frontend
from raylax.proto.openai.response_shape import PREFIX, ResponseShape
from raylax.proto.openai.responses import ResponsesRequest
from raylax.router.http.answer import Answers
from raylax.router.http.typed_lines import TypedLines


def response(frontend: Frontend, body: ResponsesRequest) -> TypedLines:
    call = frontend.chat(body.for_chat(), PREFIX, field="input")
    return TypedLines(call, ResponseShape(call, body, frontend.name, int(time.time())))


def add_responses(app: FastAPI, answers: Answers) -> None:
    @app.post("/v1/responses")
    async def responses(request: Request) -> Response:
        return await answers.answer(request, ResponsesRequest, response)

    @app.api_route("/v1/responses/{id:path}", methods=["GET", "POST", "DELETE"])
    async def kept_response(id: str) -> Response:
        raise InvalidRequest("raylax keeps no responses; an answer is in the reply to its POST")
