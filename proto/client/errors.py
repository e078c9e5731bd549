"""From a status of gRPC to the error of `raylax.proto.errors` that the router raised."""

from collections.abc import Iterator
from urllib.parse import unquote

import grpc
import grpc.aio

from raylax.proto.errors import RaylaxError

BROKEN = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)
"""The statuses with which a lost connection ends a call."""
FailedCall = grpc.Call | grpc.aio.AioRpcError
"""The error that a stub raises: a plain one, or one of asyncio."""


def kinds() -> Iterator[type[RaylaxError]]:
    """Every class of error, from the general to the special."""
    level = [RaylaxError]
    while level:
        yield from level
        level = [below for kind in level for below in kind.__subclasses__()]


def details_of(error: FailedCall) -> dict[str, str]:
    """What the trailing metadata say in text."""
    metadata = error.trailing_metadata() or ()
    return {key: value for key, value in metadata if isinstance(value, str)}


def is_broken(error: FailedCall) -> bool:
    """Whether the connection was lost: then no router has said anything of an error."""
    return error.code() in BROKEN and "error-code" not in details_of(error)


def error_of(error: FailedCall) -> RaylaxError:
    """The error as it was raised in the router, or as near to it as the status tells."""
    told, code = details_of(error), error.code()
    alike = [kind for kind in kinds() if kind.grpc_status == code.name]
    named = told.get("error-code"), told.get("error-type")
    exact = [kind for kind in alike if (kind.code or "none", kind.kind) == named]
    kind = (exact or alike or [RaylaxError])[0]
    message = error.details() or f"the call ended with {code.name}"
    param, retry = told.get("error-param"), told.get("retry-after-s")
    return kind(
        message,
        param=None if param is None else unquote(param),
        retry_after_s=None if retry is None else float(retry),
    )
