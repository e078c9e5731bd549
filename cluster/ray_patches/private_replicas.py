"""HAProxy finds routers in the run's directory, where nobody else can take their place.

Serve has them listen on ports of this machine. Whoever takes the port of a router that has just
died is sent what is meant for it: keys and prompts. A socket in a closed directory is no one else's
ever. To be called in every process of Serve, before it writes HAProxy's configuration.
"""

import os
import socket
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from raylax.cluster.environment import run_directory
from raylax.cluster.ray_patches.replacing import put

SERVERS = {"server": " check{%", "backend.fallback_server": " check backup"}
"""HAProxy's servers for HTTP in Serve's template, and what follows the address of each."""


def hide_the_replicas() -> None:
    """Changes HAProxy's template, and where Serve's HTTP servers listen."""
    from ray.serve._private import constants, haproxy_templates, http_util

    directory = run_directory()
    if directory is None or not constants.RAY_SERVE_ENABLE_HA_PROXY:
        return
    template = haproxy_templates.HAPROXY_CONFIG_TEMPLATE
    put(haproxy_templates, "HAPROXY_CONFIG_TEMPLATE", hidden(template, directory))
    http_util.uvicorn = with_private_servers(http_util.uvicorn, directory)


def socket_of(directory: Path, port: int | str) -> Path:
    """Where the server listens that Serve takes to be at a port."""
    return directory / f"http-{port}.sock"


def hidden(template: str, directory: Path) -> str:
    """HAProxy's template with its servers for HTTP in a directory."""
    for server, rest in SERVERS.items():
        at = socket_of(directory, f"{{{{ {server}.port }}}}")
        template = template.replace(address_of(server) + rest, f"unix@{at}{rest}")
    return template


def address_of(server: str) -> str:
    """As the template has it."""
    return f"{{{{ {server}.host }}}}:{{{{ {server}.port }}}}"


def with_private_servers(uvicorn: Any, directory: Path) -> Any:
    """What Serve takes of uvicorn, with servers that listen in a directory. The ports stay bound,
    so that Serve gives none to two servers, and are closed to all."""

    class PrivateServer(uvicorn.Server):  # type: ignore[misc]  # is Any
        async def serve(self, sockets: list[socket.socket]) -> None:
            ports = [bound.getsockname()[1] for bound in sockets]
            await super().serve([listener(socket_of(directory, port)) for port in ports])
            for bound in sockets:
                bound.close()

    return SimpleNamespace(Server=PrivateServer, Config=uvicorn.Config)


def listener(path: Path) -> socket.socket:
    """In place of one that a dead process has left."""
    with suppress(FileNotFoundError):
        os.unlink(path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.bind(str(path))
    return made
