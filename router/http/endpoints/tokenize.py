"""vLLM's POST /tokenize and /detokenize, and GET /tokenizer_info."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from raylax.proto.openai.tokenize import (
    DetokenizeRequest,
    DetokenizeResponse,
    TokenizeRequest,
    TokenizeResponse,
)
from raylax.router.http.handler import RequestHandler, json_response
from raylax.router.http.routes import Routes


def add_tokenize(routes: Routes, handler: RequestHandler) -> None:
    async def tokenize(request: Request) -> ASGIApp:
        with handler.counted() as ticket:
            async with handler.read(request, TokenizeRequest) as (body, size):
                listing = handler.models.named(body.model).maker(size).token_list(body)
                listed, ticket.used = await handler.made(request, size, listing)
        return Response(listed, media_type="application/json")

    async def detokenize(request: Request) -> ASGIApp:
        with handler.counted() as ticket:
            async with handler.read(request, DetokenizeRequest) as (body, size):
                decoding = handler.models.named(body.model).maker(size).text(body)
                text, ticket.used = await handler.made(request, size, decoding), len(body.tokens)
        return json_response(DetokenizeResponse(prompt=text))

    async def tokenizer_info(request: Request) -> ASGIApp:
        files = handler.models.named(request.query_params.get("model")).frontend.files
        return json_response(files.tokenizer_info)

    routes.get("/tokenizer_info", tokenizer_info)
    routes.post("/tokenize", tokenize, TokenizeRequest, TokenizeResponse)
    routes.post("/detokenize", detokenize, DetokenizeRequest, DetokenizeResponse)
