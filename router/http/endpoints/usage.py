"""GET /usage: what the tenant that asks has had, and may still have. Nothing of others."""

from dataclasses import asdict

from starlette.requests import Request
from starlette.types import ASGIApp

from raylax.router.access.caller import caller
from raylax.router.calls.models import Models
from raylax.router.http.handler import json_response
from raylax.router.http.routes import Routes


def add_usage(routes: Routes, models: Models) -> None:
    state = models.state

    async def usage(request: Request) -> ASGIApp:
        tenant = caller().tenant
        told = {"tenant": tenant, **asdict(state.usage.of(tenant))}
        running = {"running": state.rate_limiter.open(tenant)}
        return json_response({**told, **running, "limits": caller().limits_left()})

    routes.get("/usage", usage)
