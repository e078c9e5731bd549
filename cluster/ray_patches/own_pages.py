"""Serve's own pages are for HAProxy alone: which routes there are, and whether a replica is well.

Serve answers `/-/routes` and `/-/healthz` itself, in HAProxy and in each process with an HTTP
server, before anybody looks for a key. Here the routes are nobody's; HAProxy asks for health at a
path that only the processes of a run know, and whoever asks at Serve's own goes on to the router
like everybody. To be called in every process of Serve, before it writes HAProxy's configuration.
"""

import hmac
import re

from starlette.types import ASGIApp, Receive, Scope, Send

from raylax.cluster.environment import run_directory, token_of
from raylax.cluster.ray_patches.replacing import put

HEALTH, ROUTES = "/-/healthz", "/-/routes"
ANSWERED = re.compile(
    r"^\{\{ healthz_rules\|safe \}\}\n.*?route_info\.routes_message[^\n]*\n",
    re.MULTILINE | re.DOTALL,
)
"""The rules of HAProxy's template by which it answers both."""
CHECK = "option httpchk GET {{ hc.health_path }}"


def close_own_pages() -> None:
    """Changes HAProxy's template, and what stands before each of Serve's HTTP servers."""
    if (directory := run_directory()) is None:
        return
    from ray.serve._private import haproxy_templates, http_util

    secret = path_of(token_of(directory).read_text())
    template = haproxy_templates.HAPROXY_CONFIG_TEMPLATE
    put(haproxy_templates, "HAPROXY_CONFIG_TEMPLATE", closed(template, secret))
    within = http_util.RequestIdMiddleware
    put(http_util, "RequestIdMiddleware", lambda app: OwnPages(within(app), secret))


def path_of(token: str) -> str:
    """Where HAProxy asks for health: nobody can guess it, and it does not tell the token."""
    return f"{HEALTH}/{hmac.digest(token.encode(), b'health of a replica', 'sha256').hex()}"


def closed(template: str, secret: str) -> str:
    """HAProxy's template with its check at the secret path, and no answers of its own."""
    return ANSWERED.sub("", template).replace(CHECK, f"option httpchk GET {secret}")


class OwnPages:
    """ASGI middleware: Serve finds its own path only where the secret one was asked for."""

    def __init__(self, app: ASGIApp, secret: str) -> None:
        self._app, self._secret = app, secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path == self._secret:
            scope["path"] = HEALTH
        elif path in (HEALTH, ROUTES):
            scope["path"] = f"{path}/"  # which is no page of anybody's
        await self._app(scope, receive, send)
