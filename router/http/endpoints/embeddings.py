"""OpenAI's POST /v1/embeddings."""

from starlette.requests import Request
from starlette.types import ASGIApp

from raylax.proto.answers.embedding import EmbeddingWriter
from raylax.proto.openai.embeddings import EmbeddingRequest
from raylax.proto.vocabulary import CallOrigin
from raylax.router.access.caller import caller
from raylax.router.http.handler import PreparedCall, RequestHandler
from raylax.router.http.routes import Routes


def add_embeddings(routes: Routes, handler: RequestHandler) -> None:
    def prepare(raw: bytes, origin: CallOrigin) -> PreparedCall:
        body = handler.parse(EmbeddingRequest, raw)
        service = handler.models.named(body.model)
        call = service.frontend.embedding(body, origin)
        writer = EmbeddingWriter(call, service.name, body.encoding_format)
        return PreparedCall(service, writer, body.timeout)

    async def embeddings(request: Request) -> ASGIApp:
        origin = caller().origin
        prepared = await handler.read(request, lambda raw: prepare(raw, origin))
        return await handler.whole(request, prepared)

    routes.post("/v1/embeddings", embeddings)
