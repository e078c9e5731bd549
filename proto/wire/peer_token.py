"""The cluster's secret in the metadata of a gRPC call, since anybody may reach a port."""

import hmac
from typing import Any

import grpc.aio


def peer_metadata(token: str) -> tuple[tuple[str, str], ...]:
    """What shows the secret with a call."""
    return (("authorization", f"Bearer {token}"),)


def is_peer(context: "grpc.aio.ServicerContext[Any, Any]", token: str) -> bool:
    """Whether the call shows the secret. Takes the same time for every wrong one."""
    given = dict(context.invocation_metadata() or ()).get("authorization", "")
    return hmac.compare_digest(str(given).encode(), f"Bearer {token}".encode())
