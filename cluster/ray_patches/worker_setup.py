"""Runs in every worker process before Serve's code does (Ray's `worker_process_setup_hook`)."""

import uuid

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from raylax.cluster.ray_patches.loopback import keep_to_loopback
from raylax.cluster.ray_patches.patience import ask_longer
from raylax.cluster.ray_patches.tls import show_certificate


def worker_setup() -> None:
    """Every change of Ray's own code that its processes need."""
    keep_to_loopback()
    show_certificate()
    ask_longer()
    let_the_router_name_requests()


def let_the_router_name_requests() -> None:
    """Serve wants an id in the headers of every request. Its own middleware would also write it
    into every answer, beside ours."""
    from ray.serve._private import http_util

    http_util.RequestIdMiddleware = WithRequestId


class WithRequestId:
    """ASGI middleware: the request has an id, the answer is left as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if "x-request-id" not in (headers := MutableHeaders(scope=scope)):
            headers.append("x-request-id", f"req-{uuid.uuid4().hex}")
        await self._app(scope, receive, send)
