"""Gives Serve's front door time to open on a machine that is busy with something else.

Serve ends a proxy that is not ready after a few seconds, and starts another one that is no sooner:
a start then fails although nothing is wrong. What it reads of the environment is in
`environment.FOR_RAY`; this it does not.
"""

import time
from typing import Any

FRONT_DOOR_S = 180
GCS_S = 60
RAYLET_S = 180
POLL_S = 0.1


def wait_longer() -> None:
    """Make `ray.init` wait so long for its raylet, and `serve.start` and `serve.run` for the front
    door, in this process."""
    from ray._private import services
    from ray.serve._private import api, client

    services.get_node = patient(services.get_node, RAYLET_S)

    api.HTTP_PROXY_TIMEOUT = FRONT_DOOR_S
    client.HTTP_PROXY_TIMEOUT = FRONT_DOOR_S


def patient(get_node: Any, patience_s: float) -> Any:
    """A node's data once there are some. Ray's own function raises RuntimeError while there are
    none, and who calls it gives up after half a minute."""

    def get_node_in_time(*args: Any) -> Any:
        deadline = time.monotonic() + patience_s
        while True:
            try:
                return get_node(*args)
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(POLL_S)

    return get_node_in_time


def ask_longer() -> None:
    """Let Serve's controller wait so long for what it asks Ray of its nodes: it does so when it is
    made, and would not come up. To be called in its process."""
    from ray.serve._private import cluster_node_info_cache

    cluster_node_info_cache.RAY_GCS_RPC_TIMEOUT_S = GCS_S
