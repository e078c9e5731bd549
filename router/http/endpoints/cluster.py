"""Endpoints of operators: metrics, what happened to a call, every worker, draining, debugging."""

from contextlib import suppress
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from raylax.proto.errors import NotFound, WorkerUnavailable, shown
from raylax.proto.openai.shared import StrictModel, parse_body
from raylax.router.access.caller import caller
from raylax.router.calls.models import Models
from raylax.router.http.body import body_of
from raylax.router.http.handler import json_response
from raylax.router.http.routes import Routes
from raylax.router.observe.timeline import as_json


class DebugCall(StrictModel):
    name: str
    args: list[Any] = []


class DrainCall(StrictModel):
    """The path says it all."""


class Cluster(Protocol):
    """What the application asks of the rest of the cluster. Raises WorkerUnavailable where that
    does not answer."""

    async def exposition(self) -> bytes:
        """The workers' metrics in Prometheus' format."""
        ...

    async def cluster(self) -> dict[str, Any]:
        """Every worker: its state, load, versions and configuration."""
        ...

    async def debug_call(self, name: str, args: list[Any]) -> list[Any]:
        """What a registered function says on every rank of one worker. Raises InvalidRequest where
        there is no such function."""
        ...


class NoCluster:
    """The Cluster of a router that stands alone: nobody else has anything to say."""

    async def exposition(self) -> bytes:
        return b""

    async def cluster(self) -> dict[str, Any]:
        return {"workers": []}

    async def debug_call(self, name: str, args: list[Any]) -> list[Any]:
        return []


def add_cluster(routes: Routes, models: Models, cluster: Cluster) -> None:
    config = models.config

    async def metrics(request: Request) -> ASGIApp:
        """The routers' are there even when Metrics cannot say how the workers stand."""
        text = await models.exposition()
        with suppress(WorkerUnavailable):
            text += await cluster.exposition()
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def explain(request: Request) -> ASGIApp:
        """What happened to a past call, and why it went where it did."""
        call_id = request.path_params["call_id"]
        return json_response(as_json(await models.timeline_of(call_id, caller().may_see_of)))

    async def drain(request: Request) -> ASGIApp:
        """Move what this worker has elsewhere, then end it; the cluster starts another one."""
        async with body_of(request, models) as raw:
            if raw or not caller().tenant:  # without keys there must be one: no page has it sent
                parse_body(DrainCall, raw)
        worker = request.path_params["worker"]
        if not any(service.workers.drain(worker) for service in models.services):
            ready = ", ".join(models.ready_workers) or "none"
            raise NotFound(f"no worker named {shown(worker)}; ready: {ready}", param="worker")
        return json_response({"worker": worker, "state": "draining"})

    async def whole_cluster(request: Request) -> ASGIApp:
        return json_response(await cluster.cluster())

    async def debug_call(request: Request) -> ASGIApp:
        async with body_of(request, models) as raw:
            body = parse_body(DebugCall, raw)
        return json_response({"results": await cluster.debug_call(body.name, body.args)})

    routes.get("/metrics", metrics)
    routes.get("/explain/{call_id}", explain)
    routes.post("/cluster/drain/{worker}", drain)
    routes.get("/cluster", whole_cluster)
    if config.enable_debug:
        routes.post("/debug/call_func_on_all_worker", debug_call)
