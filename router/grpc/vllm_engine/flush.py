"""Drops what workers have cached: only when nothing runs is that all that they have."""

import asyncio
from collections.abc import Callable

from raylax.proto.errors import InvalidRequest
from raylax.proto.pb import common_pb2 as pb
from raylax.router.calls.service import Service

LOOK_S = 0.02
ANSWER_S = 5.0
"""How long to wait for workers to say that it is done: between two steps, in their next reports."""


async def flush(service: Service, timeout_s: float) -> pb.FlushCacheResponse:
    """Waits so many seconds for requests to end, then has all workers drop their pages. Pages that
    are in use then stay, which is no success. Raises InvalidRequest."""
    if not 0 <= timeout_s < float("inf"):
        raise InvalidRequest(
            f"timeout_s: must be seconds, 0 or more, found {timeout_s:g}", param="timeout_s"
        )
    workers = service.workers

    def running() -> int:
        return max(
            sum(one.running + one.waiting for one in workers.loads.values()), len(service.journal)
        )

    await wait_for(lambda: not running(), timeout_s)
    left = running()
    workers.flush()
    if left:
        return pb.FlushCacheResponse(
            message=f"{left} requests are in flight: the pages that they use stay, others go"
        )
    if not await wait_for(
        lambda: not any(one.pages_cached for one in workers.loads.values()), ANSWER_S
    ):
        return pb.FlushCacheResponse(
            message=f"asked for, but not every worker has done it within {ANSWER_S:g} s"
        )
    return pb.FlushCacheResponse(success=True, message="no worker has any page")


async def wait_for(condition: Callable[[], bool], limit_s: float) -> bool:
    """Whether the condition came true in time. It is looked at again and again."""
    try:
        async with asyncio.timeout(limit_s):
            while not condition():  # noqa: ASYNC110  # it is what reports say
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        return condition()
    return True
