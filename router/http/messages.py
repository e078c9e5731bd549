"""Anthropic's POST /v1/messages and /v1/messages/count_tokens."""

from fastapi import FastAPI, Request
from fastapi.responses import Response

from raylax.proto.anthropic.message_shape import PREFIX, MessageShape
from raylax.proto.anthropic.messages import CountTokensRequest, MessagesRequest, TokenCount
from raylax.proto.frontend import Frontend
from raylax.proto.openai.shared import parse_body
from raylax.router.http.answer import Answers
from raylax.router.http.typed_lines import TypedLines


def message(frontend: Frontend, body: MessagesRequest) -> TypedLines:
    call = frontend.chat(body.for_chat(), PREFIX)
    return TypedLines(call, MessageShape(call, frontend.name))


def add_messages(app: FastAPI, answers: Answers) -> None:
    def count(raw: bytes) -> TokenCount:
        body = parse_body(CountTokensRequest, raw)
        frontend = answers.models.named(body.model).frontend
        return TokenCount(input_tokens=len(frontend.tokens_of(body.for_chat())))

    @app.post("/v1/messages")
    async def messages(request: Request) -> Response:
        return await answers.answer(request, MessagesRequest, message)

    @app.post("/v1/messages/count_tokens")
    async def count_tokens(request: Request) -> TokenCount:
        return await answers.read(request, count)
