"""Certificates, as gRPC wants them. For HTTP see `raylax.cluster.ray_patches.tls`."""

from pathlib import Path

import grpc

from raylax.router.config import RouterConfig


def credentials(config: RouterConfig) -> grpc.ServerCredentials | None:
    """The certificate and key that the configuration names; None: nothing is encrypted. The files
    must lie where the router runs; they are read once."""
    if config.tls_cert is None or config.tls_key is None:
        return None
    key, certificates = Path(config.tls_key).read_bytes(), Path(config.tls_cert).read_bytes()
    return grpc.ssl_server_credentials([(key, certificates)])
