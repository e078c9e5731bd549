"""The cluster's secret in the metadata of a gRPC call, since anybody may reach a port."""

import hmac
from typing import Any

import grpc.aio


def metadata_of(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def may_enter(context: "grpc.aio.ServicerContext[Any, Any]", token: str) -> bool:
    given = dict(context.invocation_metadata() or ()).get("authorization", "")
    return hmac.compare_digest(str(given).encode(), f"Bearer {token}".encode())
