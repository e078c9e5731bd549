"""Runs in every worker process before Serve's code does (`environment.WORKER_SETUP`)."""

import os
import uuid

from starlette.types import ASGIApp, Receive, Scope, Send

from raylax.cluster.environment import UMASK, has_several_machines, run_directory
from raylax.cluster.process_log import log_to_a_file
from raylax.cluster.ray_patches.admin_socket import close_the_admin_socket
from raylax.cluster.ray_patches.front_door import keep_the_front_door_open
from raylax.cluster.ray_patches.front_door_limits import limit_the_front_door
from raylax.cluster.ray_patches.loopback import LOOPBACK, keep_to
from raylax.cluster.ray_patches.own_pages import close_own_pages
from raylax.cluster.ray_patches.patience import ask_longer
from raylax.cluster.ray_patches.private_replicas import hide_the_replicas
from raylax.cluster.ray_patches.replacing import put
from raylax.cluster.ray_patches.sooner import ask_haproxy_often, look_often_while_it_starts
from raylax.cluster.ray_patches.tls import show_certificate


def worker_setup() -> None:
    """A log, and every change of Ray's own code that its processes need."""
    os.umask(UMASK)
    if (directory := run_directory()) is not None:
        log_to_a_file(directory)
    keep_to(own_address())
    let_the_router_name_requests()
    show_certificate()
    close_the_admin_socket()
    close_own_pages()
    hide_the_replicas()
    limit_the_front_door()
    keep_the_front_door_open()  # which imports what takes the template
    ask_longer()
    ask_haproxy_often()
    look_often_while_it_starts()


def own_address() -> str:
    """By which the processes of a run reach this one."""
    if not has_several_machines():
        return LOOPBACK
    from ray.util import get_node_ip_address

    address: str = get_node_ip_address()
    return address


def let_the_router_name_requests() -> None:
    """Serve wants an id in the headers of every request. Its own middleware would also write it
    into every answer, beside ours."""
    from ray.serve._private import http_util

    put(http_util, "RequestIdMiddleware", ReadableHeaders)


class ReadableHeaders:
    """ASGI middleware: Serve finds an id in a request's headers, can read all of them, and is
    commanded by none. The answer is left as it is.

    Serve takes every value for UTF-8, and what is not would be an error of the server.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [
            (name, as_utf8(value))
            for name, value in scope["headers"]
            if name.replace(b"_", b"-") not in COMMANDS
        ]
        if all(name != REQUEST_ID for name, _ in headers):
            headers.append((REQUEST_ID, f"req-{uuid.uuid4().hex}".encode()))
        scope["headers"] = headers
        await self._app(scope, receive, send)


REQUEST_ID = b"x-request-id"
COMMANDS = (
    b"x-request-timeout-seconds",
    b"x-request-disconnect-disabled",
    b"serve-multiplexed-model-id",
)
"""Headers by which any client could tell Serve when to give a call up, and where to send it."""


def as_utf8(value: bytes) -> bytes:
    """The same where it is UTF-8, else what it says in Latin-1."""
    try:
        value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1").encode()
    return value
