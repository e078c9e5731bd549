"""POST /v1/score, /v1/rerank and /classify, and the other paths that vLLM, Jina and Cohere have for
them."""

import time

from starlette.requests import Request
from starlette.types import ASGIApp

from raylax.proto.answers.scores import LabelWriter, RankingWriter, ScoreWriter
from raylax.proto.openai.scores import (
    ClassifiedList,
    ClassifyRequest,
    Ranking,
    RerankRequest,
    ScoreList,
    ScoreRequest,
)
from raylax.router.http.handler import PreparedCall, RequestHandler
from raylax.router.http.routes import Routes


def add_scores(routes: Routes, handler: RequestHandler) -> None:
    async def score(request: Request) -> ASGIApp:
        async with handler.read(request, ScoreRequest) as (body, size):
            service = handler.models.named(body.model)
            paired = await handler.made(request, size, service.maker(size).pairs(body))
        writer = ScoreWriter(paired, service.name, int(time.time()))
        return await handler.whole(request, PreparedCall(service, writer, body.timeout))

    async def rerank(request: Request) -> ASGIApp:
        async with handler.read(request, RerankRequest) as (body, size):
            service = handler.models.named(body.model)
            paired = await handler.made(request, size, service.maker(size).pairs(body))
        writer = RankingWriter(paired, service.name, body)
        return await handler.whole(request, PreparedCall(service, writer, body.timeout))

    async def classify(request: Request) -> ASGIApp:
        async with handler.read(request, ClassifyRequest) as (body, size):
            service = handler.models.named(body.model)
            labelled = await handler.made(request, size, service.maker(size).labelled(body))
        writer = LabelWriter(labelled, service.name, int(time.time()))
        return await handler.whole(request, PreparedCall(service, writer, body.timeout))

    for path in ("/classify", "/v1/classify"):
        routes.post(path, classify, ClassifyRequest, ClassifiedList)
    for path in ("/v1/score", "/score"):
        routes.post(path, score, ScoreRequest, ScoreList)
    for path in ("/v1/rerank", "/rerank", "/v2/rerank"):
        routes.post(path, rerank, RerankRequest, Ranking)
