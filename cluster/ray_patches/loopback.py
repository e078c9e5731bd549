"""Keeps what Serve starts for itself off every address but one.

That is this machine's own, or where other machines join the one by which they know this one: what
listens there has Ray's TLS, with certificates at both ends.

Ray's own servers stay on loopback by configuration; Serve binds its replicas' internal gRPC
servers to every address and has no setting for it; and its replicas' HTTP servers, which HAProxy
looks for on loopback, to the address that HAProxy itself is to have.
This runs in every worker process before Serve's code does (`worker_setup`).
"""

from typing import Any

from raylax.cluster.ray_patches.replacing import put

LOOPBACK = "127.0.0.1"
EVERY_ADDRESS = ("[::]:", "0.0.0.0:")


def kept_to(host: str, address: str) -> str:
    """The address, but at this host where it means every one."""
    for prefix in EVERY_ADDRESS:
        if address.startswith(prefix):
            return f"{host}:{address.removeprefix(prefix)}"
    return address


def keep_to(host: str) -> None:
    """Wraps the functions that bind gRPC and HTTP servers; HTTP is on loopback in any case."""
    from ray._common import tls_utils

    bind = tls_utils.add_port_to_grpc_server

    def bind_there(server: Any, address: str) -> Any:
        return bind(server, kept_to(host, address))

    put(tls_utils, "add_port_to_grpc_server", bind_there)

    from ray.serve._private import http_util

    start = http_util.start_asgi_http_server

    async def start_on_loopback(app: Any, http_options: Any, **more: Any) -> Any:
        return await start(app, http_options.model_copy(update={"host": LOOPBACK}), **more)

    put(http_util, "start_asgi_http_server", start_on_loopback)
