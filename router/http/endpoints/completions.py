"""OpenAI's POST /v1/chat/completions and /v1/completions."""

from starlette.requests import Request
from starlette.types import ASGIApp

from raylax.proto.openai.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionRequest
from raylax.proto.openai.completions import Completion, CompletionRequest
from raylax.router.http.endpoints.debug_config import DebugConfigs
from raylax.router.http.handler import RequestHandler
from raylax.router.http.routes import Routes
from raylax.router.prompts.writers import chat_writer, completion_writer


def add_completions(routes: Routes, handler: RequestHandler) -> None:
    instead = DebugConfigs(handler.models.config.enable_debug).instead

    async def chat_completions(request: Request) -> ASGIApp:
        return await handler.answer(request, ChatCompletionRequest, chat_writer, instead)

    async def completions(request: Request) -> ASGIApp:
        return await handler.answer(request, CompletionRequest, completion_writer, instead)

    routes.post(
        "/v1/chat/completions",
        chat_completions,
        ChatCompletionRequest,
        ChatCompletion,
        ChatCompletionChunk,
    )
    routes.post("/v1/completions", completions, CompletionRequest, Completion, Completion)
