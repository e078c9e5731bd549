"""How many workers there are and why: the autoscaler's decisions, as Metrics keeps them."""

import math
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp

from raylax.proto.errors import InvalidRequest, NotFound, shown
from raylax.router.http.endpoints.cluster import Cluster
from raylax.router.http.handler import json_response
from raylax.router.http.routes import Routes

Decisions = dict[str, list[dict[str, Any]]]
"""By model, the oldest first."""


def add_scaling(routes: Routes, cluster: Cluster) -> None:
    async def scaling(request: Request) -> ASGIApp:
        kept, asked = await cluster.scaling(), request.query_params
        if (model := asked.get("model")) is not None:
            kept = of_model(kept, model)
        if (at := asked.get("at")) is not None:
            at_s = seconds(at)
            kept = {name: [in_force(name, told, at_s)] for name, told in kept.items()}
        return json_response({"models": kept})

    routes.get("/cluster/scaling", scaling)


def of_model(kept: Decisions, model: str) -> Decisions:
    """Raises NotFound."""
    if model not in kept:
        known = ", ".join(kept) or "none"
        raise NotFound(
            f"model: nothing was decided for {shown(model)}; there is {known}", param="model"
        )
    return {model: kept[model]}


def seconds(text: str) -> float:
    """Raises InvalidRequest."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidRequest(
            f"at must be seconds since 1970, as 1796000000, found {shown(text)}", param="at"
        )
    return value


def in_force(model: str, told: list[dict[str, Any]], at_s: float) -> dict[str, Any]:
    """The decision that held at this second. Raises NotFound for a time that is not known."""
    before = [one for one in told if one["at_s"] <= at_s]
    if not before:
        first = f"{told[0]['at_s']:.0f}" if told else "none yet"
        raise NotFound(
            f"at: decisions for {shown(model)} are known from {first} on, found {at_s:.0f}",
            param="at",
        )
    return before[-1]
