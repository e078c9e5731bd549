"""Endpoints for who looks into engines, as MLC-LLM has them: only with `enable_debug`."""

from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp

from raylax.proto.openai.body import StrictModel, parse_body
from raylax.proto.vocabulary import Inspected
from raylax.router.access.caller import caller
from raylax.router.calls.event_trace import event_trace
from raylax.router.calls.models import Models
from raylax.router.http.body import body_of
from raylax.router.http.handler import json_response
from raylax.router.http.routes import Handler, Routes
from raylax.router.http.sending import PIECE_BYTES
from raylax.router.observe.engine_numbers import together

ByWorker = dict[str, Any]


class OfModel(StrictModel):
    model: str


class OfAnyModel(StrictModel):
    model: str | None = None


class OfSleep(OfAnyModel):
    level: Literal[1, 2] = 1


def are_asleep(by_worker: ByWorker) -> dict[str, Any]:
    """As vLLM tells it, and how deep each worker sleeps."""
    return {"is_sleeping": any(by_worker.values()), "levels": by_worker}


def names_of(by_worker: ByWorker) -> dict[str, list[str]]:
    return {"workers": list(by_worker)}


ENDPOINTS: list[tuple[str, type[OfModel | OfAnyModel], Inspected, Callable[[ByWorker], Any]]] = [
    ("dump_engine_metrics", OfModel, Inspected.METRICS, together),
    ("reset_engine", OfModel, Inspected.RESET, names_of),
    ("cuda_profiler_start", OfAnyModel, Inspected.PROFILER_START, names_of),
    ("cuda_profiler_stop", OfAnyModel, Inspected.PROFILER_STOP, names_of),
    ("sleep", OfSleep, Inspected.SLEEP, names_of),
    ("wake_up", OfAnyModel, Inspected.WAKE_UP, names_of),
    ("is_sleeping", OfAnyModel, Inspected.SLEEP_LEVEL, are_asleep),
]
"""The path behind /debug, the body, what workers are asked for, and how their answers are told."""
LOOKING = (Inspected.METRICS, Inspected.SLEEP_LEVEL)
"""These change nothing."""


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    """Of what may be a hundred megabytes: as few of them wait for their reader as of any answer."""
    for at in range(0, len(content), PIECE_BYTES):
        yield content[at : at + PIECE_BYTES]


def add_debugging(routes: Routes, models: Models) -> None:
    def handler(
        kind: type[OfModel | OfAnyModel], what: Inspected, told: Callable[[ByWorker], Any]
    ) -> Handler:
        async def handle(request: Request) -> ASGIApp:
            async with body_of(request, models) as raw:
                given = raw or not caller().tenant  # without keys there must be one
                body = parse_body(kind, raw if given else b"{}")
            deep = isinstance(body, OfSleep) and body.level > 1
            asked = Inspected.SLEEP_DEEPLY if deep else what
            service = models.named(body.model)
            answer = json_response(told(await service.workers.inspect(asked)))
            if asked not in LOOKING:
                models.state.acts.add(caller().tenant, f"{asked} of {service.name}")
            return answer

        return handle

    async def dump_event_trace(request: Request) -> ASGIApp:
        """Of the whole cluster, whichever of its models is named."""
        async with body_of(request, models) as raw:
            models.named(parse_body(OfModel, raw).model)
        return StreamingResponse(pieces(await event_trace(models)), media_type="application/json")

    if models.config.enable_debug:
        routes.post("/debug/dump_event_trace", dump_event_trace, OfModel)
        for name, kind, what, told in ENDPOINTS:
            routes.post(f"/debug/{name}", handler(kind, what, told), kind)
