"""What the rest of the cluster knows: metrics, every worker, a call on every rank."""

from contextlib import suppress
from dataclasses import asdict
from typing import Any, Protocol

from fastapi import FastAPI, Request
from fastapi.responses import Response

from raylax.proto.errors import NotFound, WorkerUnavailable, shown
from raylax.proto.openai.shared import Strict, parse_body
from raylax.router.http.body import read_body
from raylax.router.models import Models


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


def add_cluster(app: FastAPI, models: Models, cluster: Cluster) -> None:
    config = models.config

    @app.get("/metrics")
    async def metrics() -> Response:
        """This router's own are there even when Metrics cannot say how the workers stand."""
        text = b"".join(service.meter.exposition() for service in models.services)
        with suppress(WorkerUnavailable):
            text += await cluster.exposition()
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/explain/{call_id}")
    async def explain(call_id: str) -> dict[str, Any]:
        """What happened to a past call, and why it went where it did."""
        return asdict(await models.told(call_id))

    @app.post("/cluster/drain/{worker}")
    async def drain(worker: str) -> dict[str, str]:
        """Move what this worker has elsewhere, then end it; the cluster starts another one."""
        if not any(service.workers.drain(worker) for service in models.services):
            ready = ", ".join(models.ready_workers) or "none"
            raise NotFound(f"no worker named {shown(worker)}; ready: {ready}", param="worker")
        return {"worker": worker, "state": "draining"}

    @app.get("/cluster")
    async def whole_cluster() -> dict[str, Any]:
        return await cluster.cluster()

    if config.enable_debug:

        @app.post("/debug/call_func_on_all_worker")
        async def debug_call(request: Request) -> dict[str, Any]:
            raw = await read_body(request, config.max_body_bytes, config.body_timeout_s)
            body = parse_body(DebugCall, raw)
            return {"results": await cluster.debug_call(body.name, body.args)}
