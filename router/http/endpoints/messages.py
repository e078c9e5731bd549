"""Anthropic's POST /v1/messages and /v1/messages/count_tokens."""

from starlette.requests import Request
from starlette.types import ASGIApp

from raylax.proto.answers.anthropic_message import PREFIX, MessageWriter
from raylax.proto.anthropic.answer import Message, TokenCount
from raylax.proto.anthropic.messages import CountTokensRequest, MessagesRequest
from raylax.router.http.event_stream import AnyEvent
from raylax.router.http.handler import RequestHandler, json_response
from raylax.router.http.routes import Routes
from raylax.router.prompts.call_maker import CallMaker


async def message_writer(make: CallMaker, body: MessagesRequest) -> MessageWriter:
    return MessageWriter(await make.chat(body.for_chat(), PREFIX), make.model)


def add_messages(routes: Routes, handler: RequestHandler) -> None:
    async def messages(request: Request) -> ASGIApp:
        return await handler.answer(request, MessagesRequest, message_writer)

    async def count_tokens(request: Request) -> ASGIApp:
        with handler.counted() as ticket:
            async with handler.read(request, CountTokensRequest) as (body, size):
                counting = handler.models.named(body.model).maker(size).count(body.for_chat())
                ticket.used = await handler.made(request, size, counting)
        return json_response(TokenCount(input_tokens=ticket.used))

    routes.post("/v1/messages", messages, MessagesRequest, Message, AnyEvent)
    routes.post("/v1/messages/count_tokens", count_tokens, CountTokensRequest, TokenCount)
