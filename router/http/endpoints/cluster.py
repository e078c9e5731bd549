"""Endpoints of operators: metrics, what happened to a call, every worker, draining, debugging."""

from contextlib import suppress
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from raylax.proto.errors import InvalidRequest, NotFound, WorkerUnavailable, shown
from raylax.proto.openai.body import StrictModel, parse_body
from raylax.router.access.caller import caller
from raylax.router.calls.models import Models
from raylax.router.http.body import body_of
from raylax.router.http.handler import json_response
from raylax.router.http.routes import Routes
from raylax.router.observe.exposition import families, format_of
from raylax.router.observe.measures import RouterMeasures, added_up
from raylax.router.observe.timeline import as_json

MOST_DIGITS = 18
"""Of the id of an event."""


class DebugCall(StrictModel):
    name: str
    args: list[Any] = []


class DrainCall(StrictModel):
    """The path says it all."""


class Cluster(Protocol):
    """What the application asks of the rest of the cluster. Raises WorkerUnavailable where that
    does not answer."""

    async def exposition(self, openmetrics: bool) -> bytes:
        """The workers' metrics as text of Prometheus, or of OpenMetrics without its end."""
        ...

    async def measures_besides(self, routers: list[str]) -> RouterMeasures | None:
        """What all other routers have counted that there ever were; None if there were none."""
        ...

    async def cluster(self) -> str:
        """JSON of every worker: its state, load, versions and configuration."""
        ...

    async def history(self, asked: dict[str, str]) -> str:
        """JSON of the past, as it was asked for. Raises InvalidRequest."""
        ...

    async def events(self, after: int) -> str:
        """JSON of what happened after the event of this id."""
        ...

    async def scaling(self) -> dict[str, list[dict[str, Any]]]:
        """By model the autoscaler's decisions, the oldest first."""
        ...

    async def debug_call(self, name: str, args: list[Any]) -> list[Any]:
        """What a registered function says on every rank of one worker. Raises InvalidRequest where
        there is no such function."""
        ...


class NoCluster:
    """The Cluster of a router that stands alone: nobody else has anything to say."""

    async def exposition(self, openmetrics: bool) -> bytes:
        return b""

    async def measures_besides(self, routers: list[str]) -> RouterMeasures | None:
        return None

    async def cluster(self) -> str:
        return '{"workers":[],"models":{}}'

    async def history(self, asked: dict[str, str]) -> str:
        return '{"rows":[]}'

    async def events(self, after: int) -> str:
        return '{"events":[]}'

    async def scaling(self) -> dict[str, list[dict[str, Any]]]:
        return {}

    async def debug_call(self, name: str, args: list[Any]) -> list[Any]:
        return []


def json_text(text: str) -> Response:
    """A response of JSON that somebody has written."""
    return Response(text, media_type="application/json")


def add_cluster(routes: Routes, models: Models, cluster: Cluster) -> None:
    config = models.config

    async def metrics(request: Request) -> ASGIApp:
        """The routers' are there even when Metrics cannot say how the workers stand."""
        wanted = format_of(request.headers.get("accept", ""))
        measures, of_workers = await models.measures(), b""
        with suppress(WorkerUnavailable):
            gone = await cluster.measures_besides([one.router for one in measures])
            measures += [gone] if gone is not None else []
            of_workers = await cluster.exposition(wanted.is_openmetrics)
        text = wanted.written(families(added_up(measures))) + of_workers + wanted.end
        return Response(text, media_type=wanted.media_type)

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
        models.state.acts.add(caller().tenant, f"drain {worker}")
        return json_response({"worker": worker, "state": "draining"})

    async def whole_cluster(request: Request) -> ASGIApp:
        return json_text(await cluster.cluster())

    async def history(request: Request) -> ASGIApp:
        """How it was, and what has been counted, by time."""
        return json_text(await cluster.history(dict(request.query_params)))

    async def events(request: Request) -> ASGIApp:
        """What has happened."""
        after = request.query_params.get("after", "0")
        if not after.isdecimal() or len(after) > MOST_DIGITS:
            why = f"after must be the id of an event, not {shown(after)}"
            raise InvalidRequest(why, param="after")
        return json_text(await cluster.events(int(after)))

    async def debug_call(request: Request) -> ASGIApp:
        async with body_of(request, models) as raw:
            body = parse_body(DebugCall, raw)
        results = await cluster.debug_call(body.name, body.args)
        models.state.acts.add(caller().tenant, f"call {body.name}")
        return json_response({"results": results})

    routes.get("/metrics", metrics)
    routes.get("/explain/{call_id}", explain)
    routes.post("/cluster/drain/{worker}", drain)
    routes.get("/cluster", whole_cluster)
    routes.get("/cluster/history", history)
    routes.get("/cluster/events", events)
    if config.enable_debug:
        routes.post("/debug/call_func_on_all_worker", debug_call, DebugCall)
