"""A trace of the whole cluster: one file with all routers and workers, and their ranks, on the
clock of the router that writes it."""

import asyncio

from raylax.proto.event_trace import chrome_file
from raylax.router.calls.models import Models


async def event_trace(models: Models) -> bytes:
    """The file. Who does not answer is named in its metadata. Raises InvalidRequest where nothing
    is traced."""
    (routers, missing), *workers = await asyncio.gather(
        models.peers.traces(), *(service.workers.traces() for service in models.services)
    )
    processes = [await asyncio.to_thread(models.own_trace), *routers]
    for traces, silent in workers:
        processes += traces
        missing |= silent
    told = {"missing": missing} if missing else None
    return await asyncio.to_thread(chrome_file, processes, told)
