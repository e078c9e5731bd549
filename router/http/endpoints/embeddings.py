"""OpenAI's POST /v1/embeddings."""

from starlette.requests import Request
from starlette.types import ASGIApp

from raylax.proto.openai.embeddings import EmbeddingRequest
from raylax.proto.openai.shared import parse_body
from raylax.router.http.handler import Answers, Asked
from raylax.router.http.openai_events import ChunkLines
from raylax.router.http.routes import Routes


def add_embeddings(routes: Routes, answers: Answers) -> None:
    def prepare(raw: bytes) -> Asked:
        body = parse_body(EmbeddingRequest, raw)
        service = answers.models.named(body.model)
        return Asked(service, ChunkLines(service.frontend.embedding(body)), body.timeout)

    async def embeddings(request: Request) -> ASGIApp:
        return await answers.whole(request, await answers.read(request, prepare))

    routes.post("/v1/embeddings", embeddings)
