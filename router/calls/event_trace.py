"""A trace of the whole cluster: one file with all routers and workers, and their ranks, on the
clock of the router that writes it."""

import asyncio
import json

from raylax.proto.event_trace import ProcessTrace, chrome_file
from raylax.router.calls.models import Models
from raylax.router.workers.traces import Missing


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
    return await asyncio.to_thread(written, processes, missing)


def written(processes: list[ProcessTrace], missing: Missing) -> bytes:
    """Megabytes, which take a while: not on an event loop."""
    return json.dumps(chrome_file(processes, {"missing": missing} if missing else None)).encode()
