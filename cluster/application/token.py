"""The secret by which the routers and workers of a Ray cluster know each other.

It lasts as long as the cluster does: what is deployed again must be understood by what still runs.
"""

import secrets

NAMESPACE = "raylax"
KEY = "token"


def cluster_token() -> str:
    """The secret of the cluster that this process is connected to. Whoever asks first makes it."""
    from ray.experimental import internal_kv

    internal_kv._internal_kv_put(KEY, secrets.token_hex(32), overwrite=False, namespace=NAMESPACE)
    token: bytes = internal_kv._internal_kv_get(KEY, namespace=NAMESPACE)
    return token.decode()
