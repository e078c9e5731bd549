"""OpenAI's POST /v1/chat/completions and /v1/completions."""

import time

from starlette.requests import Request
from starlette.types import ASGIApp

from raylax.proto.answers.openai_chat import ChatWriter
from raylax.proto.answers.openai_completion import CompletionWriter
from raylax.proto.frontend import Frontend
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.vocabulary import CallOrigin
from raylax.router.http.handler import RequestHandler
from raylax.router.http.routes import Routes


def chat_writer(frontend: Frontend, body: ChatCompletionRequest, origin: CallOrigin) -> ChatWriter:
    call = frontend.chat(body, origin=origin)
    return ChatWriter(call, frontend.name, int(time.time()), body.include_usage)


def completion_writer(
    frontend: Frontend, body: CompletionRequest, origin: CallOrigin
) -> CompletionWriter:
    call = frontend.completion(body, origin)
    return CompletionWriter(call, frontend.name, int(time.time()), body.include_usage)


def add_completions(routes: Routes, handler: RequestHandler) -> None:
    async def chat_completions(request: Request) -> ASGIApp:
        return await handler.answer(request, ChatCompletionRequest, chat_writer)

    async def completions(request: Request) -> ASGIApp:
        return await handler.answer(request, CompletionRequest, completion_writer)

    routes.post("/v1/chat/completions", chat_completions)
    routes.post("/v1/completions", completions)
