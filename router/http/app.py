"""The HTTP application. Built around whatever gives it a Service, so that tests need no cluster."""

import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from typing import Any, Protocol, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from raylax.proto.call import Call
from raylax.proto.errors import ModelNotFound, WorkerUnavailable, shown
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.openai.models import ModelCard, ModelList
from raylax.proto.openai.shared import SamplingFields, Strict, parse_body
from raylax.router.config import RouterConfig
from raylax.router.http import errors
from raylax.router.http.body import read_body, unless_client_leaves
from raylax.router.http.sse import EventStream
from raylax.router.service import Service

Body = TypeVar("Body", bound=SamplingFields)


class DebugCall(Strict):
    name: str
    args: list[Any] = []


class Cluster(Protocol):
    """What the app asks of the rest of the cluster."""

    async def exposition(self) -> bytes:
        """The workers' metrics in Prometheus' format. This and the next: WorkerUnavailable."""
        ...

    async def cluster(self) -> dict[str, Any]:
        """Every worker: state, load, versions, configuration."""
        ...

    async def debug_call(self, name: str, args: list[Any]) -> list[Any]:
        """A registered function, run on every rank of one worker."""
        ...


def build_app(
    config: RouterConfig, service_of: Callable[[], Service | None], cluster: Cluster
) -> FastAPI:
    """`service_of()` is None until a worker has been seen."""
    app = FastAPI(title="raylax", version=version("raylax"), docs_url=None, redoc_url=None)
    errors.install(app)
    created = int(time.time())

    def service() -> Service:
        if (found := service_of()) is None:
            raise WorkerUnavailable("no worker is ready yet", retry_after_s=2.0)
        return found

    async def answer(
        request: Request, kind: type[Body], make: Callable[[Service, Body], Call]
    ) -> Response:
        """Errors before the first event have a status of their own, later ones are events."""
        serving = service()
        raw = await read_body(request, config.max_body_bytes, config.body_timeout_s)

        def prepare() -> tuple[Body, Call]:
            body = parse_body(kind, raw)
            return body, make(serving, body)

        body, call = await serving.prepare(len(raw), prepare)
        events = serving.run(call, body.timeout)
        if body.stream:
            first = await unless_client_leaves(request, anext(events))
            return EventStream(call, first, events, serving.allowed_s(body.timeout))

        async def drain() -> None:
            async for _ in events:
                pass

        await unless_client_leaves(request, drain())
        text = call.response().model_dump_json()
        return Response(text, 200, {"X-Request-Id": call.id}, "application/json")

    @app.post("/v1/chat/completions")
    async def chat_completions(request: Request) -> Response:
        return await answer(request, ChatCompletionRequest, Service.chat)

    @app.post("/v1/completions")
    async def completions(request: Request) -> Response:
        return await answer(request, CompletionRequest, Service.completion)

    def card() -> ModelCard:
        longest = service().frontend.max_sequence_length
        return ModelCard(id=config.model_name, created=created, max_model_len=longest)

    @app.get("/v1/models")
    async def models() -> ModelList:
        return ModelList(data=[card()])

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> ModelCard:
        if name != config.model_name:
            raise ModelNotFound(f"no model named {shown(name)}; there is {config.model_name}")
        return card()

    @app.get("/health")
    async def health() -> Response:
        found = service_of()
        workers = found.workers.ready if found else []
        status = "ok" if workers else "no worker is ready"
        return JSONResponse({"status": status, "workers": workers}, 200 if workers else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        """This router's own are there even when Metrics cannot say how the workers stand."""
        found = service_of()
        text = found.meter.exposition() if found else b""
        with suppress(WorkerUnavailable):
            text += await cluster.exposition()
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/cluster")
    async def whole_cluster() -> dict[str, Any]:
        return await cluster.cluster()

    @app.get("/version")
    async def versions() -> dict[str, str]:
        return {"version": version("raylax")}

    if config.enable_debug:

        @app.post("/debug/call_func_on_all_worker")
        async def debug_call(request: Request) -> dict[str, Any]:
            raw = await read_body(request, config.max_body_bytes, config.body_timeout_s)
            body = parse_body(DebugCall, raw)
            return {"results": await cluster.debug_call(body.name, body.args)}

    return app
