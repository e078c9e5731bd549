"""KV pages from worker to worker: what a sequence that moves need not compute again.

Pages are asked for by name, so that nothing but pages of the same tokens can be had, and whatever
goes wrong here costs time and nothing else: what is not fetched is computed.
"""

import asyncio
import logging
from contextlib import aclosing

from raylax.proto.pages import names_of
from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.vocabulary import Request
from raylax.proto.wire.frames import Connection, ask
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.errors import EngineNotReady

log = logging.getLogger(__name__)
FETCH_S = 2.0
"""For all pages of a sequence to come."""
LEAST_PAGES = 4
"""Fewer are computed in less time, even for a small model: `bench/handover.py`."""
RUN_BYTES = 1 << 20
"""About so many bytes of pages go into a message."""


async def fetch_pages(engine: ThreadedEngine, request: Request, token: str) -> int:
    """Put the request's pages into the engine, as far as the worker at `pages_at` has them; returns
    how many."""
    names = list(names_of(request.prompt + request.history, request.page_root))
    try:
        contents = await contents_of(request.pages_at, names, token)
        return await asyncio.to_thread(engine.write_pages, names, contents) if contents else 0
    except OSError as error:
        log.info("%s: no pages from %s: %s", request.id, request.pages_at, error)
    except Exception:  # whatever it was: the request waits for this to end
        log.exception("%s: the pages from %s could not be kept", request.id, request.pages_at)
    return 0


async def contents_of(address: str, names: list[bytes], token: str) -> list[bytes]:
    """The contents of the longest beginning of these pages that the worker at `address` has; none
    of too few, which are computed in less time. Raises OSError."""
    contents: list[bytes] = []
    if len(names) < LEAST_PAGES:
        return contents
    hello = pb.Hello(find_pages=pb.FindPages(names=names))
    async with (
        asyncio.timeout(FETCH_S),
        aclosing(ask(address, hello.SerializeToString(), FETCH_S, token)) as parts,
    ):
        async for part in parts:
            contents += pb.PageContents.FromString(part).contents
    return contents


async def send_pages(engine: ThreadedEngine, names: list[bytes], connection: Connection) -> None:
    """Answer a worker that asks for these pages with those that are here, a run in each message,
    and end the connection."""
    try:
        contents = await asyncio.to_thread(engine.read_pages, names)
    except EngineNotReady as error:
        connection.end(str(error))
        return
    a_run = max(1, RUN_BYTES // len(contents[0])) if contents else 1
    for first in range(0, len(contents), a_run):
        await connection.writable.wait()
        part = pb.PageContents(contents=contents[first : first + a_run])
        connection.send(part.SerializeToString())
    connection.end()
