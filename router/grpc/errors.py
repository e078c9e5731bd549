"""Errors as gRPC tells them: the status of the one table, and what a client can act upon beside it.

In the trailing metadata, after what goes back with every answer: `error-type` and `error-code` (as
in the HTTP API's errors; `none` for an error without one), `error-param` (the field at fault,
percent-encoded), `call-id` (of the call that it has ended, if one had begun), and `retry-after-s`.
A status without an `error-code` is not ours: it came from the connection.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, NoReturn
from urllib.parse import quote

import grpc.aio

from raylax.proto.errors import DeadlineExceeded, RaylaxError
from raylax.router.access.caller import caller
from raylax.router.calls.failure import failure_of

CALL_ID = "call-id"
"""Names a call that has begun: beside its error, and before the first reply if the answer is kept,
so that a client can come back even for that one."""
MOST_ENCODED = 2 << 10
"""Bytes of a text in metadata, percent-encoded: clients take 8 KiB altogether."""
Context = grpc.aio.ServicerContext[Any, Any]
REFUSED: ContextVar[RaylaxError] = ContextVar("refused")
"""The error with which the call that is being answered has ended."""


async def refuse(context: Context, error: RaylaxError) -> NoReturn:
    """Ends the call with the error's status and metadata."""
    REFUSED.set(error)
    metadata = [*caller().headers().items(), ("error-type", error.kind)]
    metadata.append(("error-code", error.code or "none"))
    if error.param is not None:
        metadata.append(("error-param", quote(cut(error.param))))
    if error.call_id:
        metadata.append((CALL_ID, error.call_id))
    if error.retry_after_s is not None:
        metadata.append(("retry-after-s", f"{error.retry_after_s:.3f}"))
    await context.abort(grpc.StatusCode[error.grpc_status], cut(error.message), tuple(metadata))


def cut(text: str) -> str:
    """As much of a text as metadata may have: a client would refuse what is longer, and know
    nothing."""
    while len(quote(text)) > MOST_ENCODED:
        text = f"{text[: len(text) // 2]}..."
    return text


@asynccontextmanager
async def errors_as_statuses(context: Context) -> AsyncIterator[None]:
    """Ends the call with the status of whatever is raised within. A TimeoutError is that of
    `read_deadline`."""
    try:
        yield
    except TimeoutError:
        await refuse(context, DeadlineExceeded("the replies were not read before the deadline"))
    except Exception as error:
        await refuse(context, failure_of(error, "a call"))
