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

    def text_of(raw: bytes) -> tuple[DetokenizeResponse, int]:
        body = handler.parse(DetokenizeRequest, raw)
        frontend = handler.models.named(body.model).frontend
        frontend.prompt_ids.check_ids(body.tokens, "tokens")
        text = frontend.tokenizer.decode(body.tokens, skip_special_tokens=False)
        return DetokenizeResponse(prompt=text), len(body.tokens)

    async def tokenize(request: Request) -> ASGIApp:
        with handler.counted() as ticket:
            answer = await handler.read(request, ids_of)
            ticket.used = answer.count
        return json_response(answer)

    async def detokenize(request: Request) -> ASGIApp:
        with handler.counted() as ticket:
            answer, ticket.used = await handler.read(request, text_of)
        return json_response(answer)

    routes.post("/tokenize", tokenize)
    routes.post("/detokenize", detokenize)
