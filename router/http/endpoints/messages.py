"""Anthropic's POST /v1/messages and /v1/messages/count_tokens."""

from starlette.requests import Request
from starlette.types import ASGIApp

from raylax.proto.answers.anthropic_message import PREFIX, MessageWriter
from raylax.proto.anthropic.messages import CountTokensRequest, MessagesRequest, TokenCount
from raylax.proto.frontend import Frontend
from raylax.proto.vocabulary import CallOrigin
from raylax.router.http.handler import RequestHandler, json_response
from raylax.router.http.routes import Routes


def message_writer(frontend: Frontend, body: MessagesRequest, origin: CallOrigin) -> MessageWriter:
    call = frontend.chat(body.for_chat(), PREFIX, origin=origin)
    return MessageWriter(call, frontend.name)


def add_messages(routes: Routes, handler: RequestHandler) -> None:
    def count(raw: bytes) -> TokenCount:
        body = handler.parse(CountTokensRequest, raw)
        frontend = handler.models.named(body.model).frontend
        return TokenCount(input_tokens=len(frontend.tokens_of(body.for_chat())))

    async def messages(request: Request) -> ASGIApp:
        return await handler.answer(request, MessagesRequest, message_writer)

    async def count_tokens(request: Request) -> ASGIApp:
        with handler.counted() as ticket:
            counted = await handler.read(request, count)
            ticket.used = counted.input_tokens
        return json_response(counted)

    routes.post("/v1/messages", messages)
    routes.post("/v1/messages/count_tokens", count_tokens)
