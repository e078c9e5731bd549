"""OpenAI's POST /v1/chat/completions and /v1/completions."""

from fastapi import FastAPI, Request
from fastapi.responses import Response

from raylax.proto.frontend import Frontend
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.completions import CompletionRequest
from raylax.router.http.answer import Answers
from raylax.router.http.chunk_lines import ChunkLines


def chat(frontend: Frontend, body: ChatCompletionRequest) -> ChunkLines:
    return ChunkLines(frontend.chat(body))


def completion(frontend: Frontend, body: CompletionRequest) -> ChunkLines:
    return ChunkLines(frontend.completion(body))


def add_completions(app: FastAPI, answers: Answers) -> None:
    @app.post("/v1/chat/completions")
    async def chat_completions(request: Request) -> Response:
        return await answers.answer(request, ChatCompletionRequest, chat)

    @app.post("/v1/completions")
    async def completions(request: Request) -> Response:
        return await answers.answer(request, CompletionRequest, completion)
