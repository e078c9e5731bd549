"""Gives Serve's front door time to open on a machine that is busy with something else.

Serve ends a proxy that is not ready after a few seconds, and starts another one that is no sooner:
a start then fails although nothing is wrong. What it reads of the environment is in
`environment.FOR_RAY`; this it does not.
"""

FRONT_DOOR_S = 180
GCS_S = 60


def wait_longer() -> None:
    """Make `serve.start` and `serve.run` wait so long for the front door, in this process."""
    from ray.serve._private import api, client

    api.HTTP_PROXY_TIMEOUT = FRONT_DOOR_S
    client.HTTP_PROXY_TIMEOUT = FRONT_DOOR_S


def ask_longer() -> None:
    """Let Serve's controller wait so long for what it asks Ray of its nodes: it does so when it is
    made, and would not come up. To be called in its process."""
    from ray.serve._private import cluster_node_info_cache

    cluster_node_info_cache.RAY_GCS_RPC_TIMEOUT_S = GCS_S
