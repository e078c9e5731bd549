"""OpenAI's POST /v1/embeddings."""

from fastapi import FastAPI, Request
from fastapi.responses import Response

from raylax.proto.openai.embeddings import EmbeddingRequest
from raylax.proto.openai.shared import parse_body
from raylax.router.http.answer import Answers, Asked
from raylax.router.http.chunk_lines import ChunkLines


def add_embeddings(app: FastAPI, answers: Answers) -> None:
    def prepare(raw: bytes) -> Asked:
        body = parse_body(EmbeddingRequest, raw)
        service = answers.models.named(body.model)
        return Asked(service, ChunkLines(service.frontend.embedding(body)), body.timeout)

    @app.post("/v1/embeddings")
    async def embeddings(request: Request) -> Response:
        return await answers.whole(request, await answers.read(request, prepare))
