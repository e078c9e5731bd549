"""vLLM's POST /tokenize and /detokenize."""

from starlette.requests import Request
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
    def ids_of(raw: bytes) -> TokenizeResponse:
        body = handler.parse(TokenizeRequest, raw)
        frontend = handler.models.named(body.model).frontend
        if body.messages is None:
            ids = frontend.tokenizer.encode(body.prompt or "", body.special)
        else:
            ids = frontend.tokens_of(body.for_chat())
        names = [frontend.tokenizer.name_of(id) for id in ids] if body.return_token_strs else None
        return TokenizeResponse(
            count=len(ids),
            max_model_len=frontend.max_sequence_length,
            tokens=ids,
            token_strs=names,
        )

    def text_of(raw: bytes) -> DetokenizeResponse:
        body = handler.parse(DetokenizeRequest, raw)
        frontend = handler.models.named(body.model).frontend
        frontend.prompt_ids.check_ids(body.tokens, "tokens")
        text = frontend.tokenizer.decode(body.tokens, skip_special_tokens=False)
        return DetokenizeResponse(prompt=text)

    async def tokenize(request: Request) -> ASGIApp:
        return json_response(await handler.read(request, ids_of))

    async def detokenize(request: Request) -> ASGIApp:
        return json_response(await handler.read(request, text_of))

    routes.post("/tokenize", tokenize)
    routes.post("/detokenize", detokenize)
