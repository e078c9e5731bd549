"""GET /dashboard: a page that shows the cluster, its files, and the feed of what it shows."""

import asyncio
import json
import time
from collections.abc import Iterable
from typing import Any

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from raylax.proto.errors import WorkerUnavailable
from raylax.router.access.authentication import AccessLevel, secret_in
from raylax.router.access.caller import caller
from raylax.router.calls.models import Models
from raylax.router.http.dashboard.feed import Feed, FeedStream
from raylax.router.http.dashboard.numbers import (
    Numbers,
    calls_of,
    router_numbers,
    silent_numbers,
)
from raylax.router.http.dashboard.page import INDEX, Asset, asset
from raylax.router.http.endpoints.cluster import Cluster
from raylax.router.http.routes import Routes

ANSWER_S = 0.5
"""For Metrics and other routers to answer: what the router knows by itself waits no longer."""
RECENT_S = 30.0
"""How long an event is told."""
OF_A_REPORT = (
    "worker_id", "pid", "node", "address", "model", "shards", "state", "stage", "fault",
    "gpus", "energy_j", "joules_per_token", "age_s",
)  # fmt: skip
"""What is told each second of what a worker reports: its configuration has /cluster."""
OF_A_MODEL = "ready", "least", "starting", "starting_s", "start_s", "held"
"""And of a model: how far its next worker is, and how many wait for it."""


def add_dashboard(routes: Routes, models: Models, cluster: Cluster) -> None:
    """Only where the configuration has the page."""
    authenticator = models.authenticator

    feed = Feed(Snapshots(models, cluster).take)

    async def page(request: Request) -> ASGIApp:
        """The page itself asks for the key that is missing. Who shows a wrong one is refused as
        everywhere."""
        headers = request.headers.getlist
        if not authenticator.open and secret_in(headers) is None:
            return file_response(request, asset(INDEX), 401)
        authenticator.authenticate(caller(), headers, AccessLevel.ADMIN_KEY)
        return file_response(request, asset(INDEX))

    async def file(request: Request) -> ASGIApp:
        return file_response(request, asset(request.path_params["name"]))

    async def events(request: Request) -> ASGIApp:
        return FeedStream(feed)

    if models.config.dashboard:
        routes.get("/dashboard", page)
        routes.get("/dashboard/assets/{name:path}", file)
        routes.get("/dashboard/events", events)


class Snapshots:
    """What the page is told each second: what the routers know, and what Metrics does."""

    def __init__(self, models: Models, cluster: Cluster) -> None:
        self._models, self._cluster = models, cluster
        self._others: dict[str, Numbers] = {}
        self._recent: list[dict[str, Any]] = []
        self._last_event = 0

    async def take(self) -> bytes:
        """One of now, in JSON."""
        known, others = await asyncio.gather(self._of_metrics(), self._of_others())
        reports = known and [chosen(one, (*OF_A_REPORT, "load")) for one in known["workers"]]
        routers = [ours := router_numbers(self._models), *others]
        attached = {worker for model in ours["models"].values() for worker in model["workers"]}
        for report in reports or ():
            if report["worker_id"] in attached:
                del report["load"]  # the router's is not as old
        told = {
            "at": time.time(),
            "calls": calls_of(routers),
            "routers": [{name: one[name] for name in one if name != "calls"} for one in routers],
            "reports": reports,
            "models": known
            and {name: chosen(one, OF_A_MODEL) for name, one in known["models"].items()},
            "events": self._recent,
        }
        return to_json(told, inf_nan_mode="null")

    async def _of_others(self) -> list[Numbers]:
        """What the other routers know. Of one that is silent, what it has said last."""
        told = await self._models.peers.numbers(ANSWER_S)
        self._others = {
            name: new or {**self._others.get(name, silent_numbers(name)), "silent": True}
            for name, new in told.items()
        }
        return [*self._others.values()]

    async def _of_metrics(self) -> dict[str, Any] | None:
        """The body of /cluster; None: it does not answer in time. What has happened is kept for a
        while, for those who read slowly."""
        try:
            async with asyncio.timeout(ANSWER_S):
                known: dict[str, Any] = json.loads(await self._cluster.cluster())
                told = json.loads(await self._cluster.events(self._last_event))["events"]
        except (WorkerUnavailable, TimeoutError):
            return None
        self._last_event = max([self._last_event, *(event["id"] for event in told)])
        oldest = time.time() - RECENT_S
        self._recent = [one for one in (*self._recent, *told) if one["at"] > oldest]
        return known


def chosen(told: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """What has these names."""
    return {name: told[name] for name in names}


def file_response(request: Request, asset: Asset, status: int = 200) -> Response:
    """The file, or word that it is the one that the browser has."""
    if status == 200 and request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=304, headers=asset.headers)
    return Response(asset.content, status, asset.headers)
