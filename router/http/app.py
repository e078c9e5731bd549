"""The HTTP application. Built around whatever gives it a Service, so that tests need no cluster."""

import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Protocol

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from raylax.proto.call import Call
from raylax.proto.errors import WorkerUnavailable
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.openai.models import ModelCard, ModelList
from raylax.proto.openai.shared import SamplingFields, parse_body
from raylax.router.config import RouterConfig
from raylax.router.http import errors
from raylax.router.http.body import read_body, unless_client_leaves
from raylax.router.http.sse import HEADERS, event_stream
from raylax.router.service import Service


class Cluster(Protocol):
    """What the app asks of the rest of the cluster."""

    async def exposition(self) -> bytes:
        """The workers' metrics in Prometheus' format."""
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

    async def answer(request: Request, call: Call, body: SamplingFields) -> Response:
        events = service().run(call, body.timeout)
        named = {"X-Request-Id": call.id}
        if body.stream:
            stream = event_stream(call, events)
            return StreamingResponse(stream, 200, HEADERS | named, "text/event-stream")

        async def drain() -> None:
            async for _ in events:
                pass

        await unless_client_leaves(request, drain())
        text = call.response().model_dump_json()
        return Response(text, 200, named, "application/json")

    @app.post("/v1/chat/completions")
    async def chat_completions(request: Request) -> Response:
        raw = await read_body(request, config.max_body_bytes)
        body = parse_body(ChatCompletionRequest, raw)
        return await answer(request, service().chat(body), body)

    @app.post("/v1/completions")
    async def completions(request: Request) -> Response:
        raw = await read_body(request, config.max_body_bytes)
        body = parse_body(CompletionRequest, raw)
        return await answer(request, service().completion(body), body)

    @app.get("/v1/models")
    async def models() -> ModelList:
        longest = service().frontend.max_sequence_length
        card = ModelCard(id=config.model_name, created=created, max_model_len=longest)
        return ModelList(data=[card])

    @app.get("/health")
    async def health() -> Response:
        found = service_of()
        workers = found.workers.ready if found else []
        status = "ok" if workers else "no worker is ready"
        return JSONResponse({"status": status, "workers": workers}, 200 if workers else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        found = service_of()
        own = found.meter.exposition() if found else b""
        text = own + await cluster.exposition()
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/cluster")
    async def whole_cluster() -> dict[str, Any]:
        return await cluster.cluster()

    @app.get("/version")
    async def versions() -> dict[str, str]:
        return {"version": version("raylax")}

    if config.enable_debug:

        @app.post("/debug/call_func_on_all_worker")
        async def debug_call(body: dict[str, Any]) -> dict[str, Any]:
            results = await cluster.debug_call(str(body.get("name", "")), body.get("args") or [])
            return {"results": results}

    return app
