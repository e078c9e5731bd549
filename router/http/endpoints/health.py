"""The state of this router, for those who watch it: no key is asked for, no body is read."""

from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp

from raylax.router.calls.models import Models
from raylax.router.http.handler import json_response
from raylax.router.http.routes import Routes

ASLEEP = "no worker until somebody asks"
"""Who looks whether to send requests here must send them: else none would ever come."""


def add_health(routes: Routes, models: Models) -> None:
    async def ready(request: Request) -> ASGIApp:
        """Whether requests are served."""
        workers, serves = models.ready_workers, models.serves
        status = "ok" if workers else ASLEEP if serves else "no worker is ready"
        return JSONResponse({"status": status, "workers": workers}, 200 if serves else 503)

    async def live(request: Request) -> ASGIApp:
        """That this answers is all that it says."""
        return json_response({"status": "ok"})

    async def versions(request: Request) -> ASGIApp:
        return json_response({"version": version("raylax")})

    routes.get("/health", ready)
    routes.add("/ping", ready, "GET", "POST")
    routes.get("/health/ready", ready)
    routes.get("/health/live", live)
    routes.get("/version", versions)
