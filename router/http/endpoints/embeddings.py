"""OpenAI's POST /v1/embeddings."""

from starlette.requests import Request
from starlette.types import ASGIApp

from raylax.proto.openai.embeddings import EmbeddingList, EmbeddingRequest
from raylax.router.http.handler import PreparedCall, RequestHandler
from raylax.router.http.routes import Routes
from raylax.router.prompts.writers import embedding_writer


def add_embeddings(routes: Routes, handler: RequestHandler) -> None:
    async def embeddings(request: Request) -> ASGIApp:
        async with handler.read(request, EmbeddingRequest) as (body, size):
            service = handler.models.named(body.model)
            making = embedding_writer(service.maker(size), body)
            writer = await handler.made(request, size, making)
        return await handler.whole(request, PreparedCall(service, writer, body.timeout))

    routes.post("/v1/embeddings", embeddings, EmbeddingRequest, EmbeddingList)
