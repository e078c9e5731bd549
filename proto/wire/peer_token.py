"""The cluster's secret as metadata of a gRPC call: anybody can reach a port, only we know it."""

import hmac
from typing import Any

import grpc.aio


def metadata_of(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def may_enter(context: "grpc.aio.ServicerContext[Any, Any]", token: str) -> bool:
    given = dict(context.invocation_metadata() or ()).get("authorization", "")
    return hmac.compare_digest(str(given).encode(), f"Bearer {token}".encode())
