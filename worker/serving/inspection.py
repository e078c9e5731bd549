"""What is asked of one engine, or done to it, by who looks into it: over the worker's own port, so
that a router reaches each of its workers."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

from raylax.proto.errors import InvalidRequest
from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.vocabulary import Inspected
from raylax.proto.wire.frames import Connection
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.errors import EngineNotReady, EngineStartError
from raylax.worker.ranks.loading import START_ERRORS

log = logging.getLogger(__name__)
PART_BYTES = 1 << 20
"""Of an answer in a message."""


async def send_inspection(engine: ThreadedEngine, what: str, connection: Connection) -> None:
    """Answer who asks for this, and end the connection."""
    try:
        answer = ANSWERS[Inspected(what)]
        said = await asyncio.to_thread(answer, engine)
        written = said if isinstance(said, bytes) else json.dumps(said).encode()
    except InvalidRequest as error:
        connection.send(pb.Inspection(error=error.message).SerializeToString())
        connection.end()
        return
    except (EngineNotReady, ValueError) as error:
        connection.end(str(error))
        return
    for first in range(0, len(written), PART_BYTES):
        await connection.writable.wait()
        part = pb.Inspection(json=written[first : first + PART_BYTES])
        connection.send(part.SerializeToString())
    connection.end()


def events(engine: ThreadedEngine) -> bytes:
    """What each of its processes has recorded, for `raylax.proto.event_trace.traces_in`. Raises
    InvalidRequest where nothing is."""
    if (trace := engine.trace) is None:
        raise InvalidRequest("nothing is traced: serve with --enable-tracing")
    return b"\n".join([one.as_bytes() for one in trace.processes()])


def reset(engine: ThreadedEngine) -> None:
    """Abort every request, drop every page and count anew."""
    engine.reset()


def wake_up(engine: ThreadedEngine) -> None:
    """Load the model again that is asleep. Raises InvalidRequest for what keeps it from that."""
    try:
        engine.wake_up()
    except (*START_ERRORS, EngineStartError) as error:
        raise InvalidRequest(str(error)) from None


def on_each_rank(name: str) -> Callable[[ThreadedEngine], Any]:
    """Runs a debug function on every rank; None for each. Raises InvalidRequest where one
    cannot."""

    def run(engine: ThreadedEngine) -> Any:
        results = engine.debug_call_func_on_all_worker(name)
        if wrong := next((one for one in results if isinstance(one, Exception)), None):
            raise InvalidRequest(str(wrong))
        return results

    return run


ANSWERS: dict[Inspected, Callable[[ThreadedEngine], Any]] = {
    Inspected.METRICS: lambda engine: engine.metrics(),
    Inspected.TRACE: events,
    Inspected.RESET: reset,
    Inspected.PROFILER_START: on_each_rank("raylax.debug.cuda_profiler_start"),
    Inspected.PROFILER_STOP: on_each_rank("raylax.debug.cuda_profiler_stop"),
    Inspected.SLEEP: lambda engine: engine.sleep(1),
    Inspected.SLEEP_DEEPLY: lambda engine: engine.sleep(2),
    Inspected.WAKE_UP: wake_up,
    Inspected.SLEEP_LEVEL: lambda engine: engine.sleep_level,
}
