"""What the engines of workers have recorded, on this router's clock."""

import asyncio
from collections.abc import Iterable

from raylax.proto.event_trace import ClockOffset, ProcessTrace, own_clock, traces_in
from raylax.proto.vocabulary import Inspected
from raylax.router.workers.connection import WorkerConnection
from raylax.router.workers.inspection import inspect

HERE = ClockOffset(0.0, 0.0)
Missing = dict[str, str]
"""Who does not answer, and why."""


async def traces_of(
    connections: Iterable[WorkerConnection], token: str
) -> tuple[list[ProcessTrace], Missing]:
    """Of the workers of these connections, and who of them does not answer. Raises InvalidRequest
    where nothing is traced."""
    asked = list(connections)
    told = await asyncio.gather(*(answer_of(one, token) for one in asked))
    traces = [trace for answer in told if isinstance(answer, list) for trace in answer]
    pairs = zip(asked, told, strict=True)
    return traces, {f"worker {one.worker}": why for one, why in pairs if isinstance(why, str)}


async def answer_of(connection: WorkerConnection, token: str) -> list[ProcessTrace] | str:
    """What each process of a worker has recorded, or why it does not say so."""
    try:
        traces = traces_in(await inspect(connection.address, token, Inspected.TRACE))
        same = traces[0].clock == own_clock()
        far = HERE if same else await connection.clock_offset()
    except OSError as error:
        return str(error) or "it does not answer in time"
    return [one.seen_from(own_clock(), far) for one in traces]
