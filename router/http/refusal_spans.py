"""A call that was refused before it began, in OpenTelemetry's words for HTTP."""

from starlette.routing import Route, Router
from starlette.types import Scope

from raylax.proto.errors import RaylaxError
from raylax.router.access.caller import Caller
from raylax.router.observe.telemetry import RefusedCall


def refusal_of(
    scope: Scope, router: Router, caller: Caller, error: RaylaxError, took_s: float
) -> RefusedCall | None:
    """What is recorded of the refused call; None for a caller without a span."""
    if caller.span is None:
        return None
    method, path = scope["method"], scope["path"]
    told: dict[str, str | int] = {
        "http.request.method": method,
        "url.path": path,
        "http.response.status_code": error.http_status,
    }
    name = method
    if (route := route_of(router, path)) is not None:
        name, told["http.route"] = f"{method} {route}", route
    if caller.tenant:
        told["raylax.tenant"] = caller.tenant
    kind, fault = error.code or error.kind, error.http_status >= 500
    return RefusedCall(name, told, caller.span, kind, error.rule, fault, took_s)


def route_of(router: Router, path: str) -> str | None:
    """The path as its route has it, with names instead of values: so there are few names of
    spans."""
    routes = (route for route in router.routes if isinstance(route, Route))
    return next((route.path for route in routes if route.path_regex.match(path)), None)
