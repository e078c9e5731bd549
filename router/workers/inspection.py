"""Looks into the engines of a model, worker by worker."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from raylax.proto.errors import InvalidRequest, WorkerUnavailable
from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.vocabulary import Inspected
from raylax.proto.wire.frames import ask

ANSWER_S = 30.0
"""For one worker: it answers between two steps, and may have megabytes to say."""
LOADED_S = 600.0
"""For one that has to load its model."""


async def inspect(address: str, token: str, what: Inspected, timeout_s: float = ANSWER_S) -> bytes:
    """What the engine of one worker says: JSON, but for a trace. Raises OSError where it does not
    answer in time, and InvalidRequest for what it cannot be asked."""
    hello = pb.Hello(inspect=pb.Inspect(what=what)).SerializeToString()
    parts: list[bytes] = []
    async with (
        asyncio.timeout(timeout_s),
        aclosing(ask(address, hello, timeout_s, token)) as answers,
    ):
        async for answer in answers:
            part = pb.Inspection.FromString(answer)
            if part.error:
                raise InvalidRequest(part.error)
            parts.append(part.json)
    return b"".join(parts)


async def inspect_all(addresses: Mapping[str, str], token: str, what: Inspected) -> dict[str, Any]:
    """What each of these workers says, by name. Raises WorkerUnavailable where one does not, or
    where there is none; and InvalidRequest."""
    if not addresses:
        raise WorkerUnavailable("no worker is ready", retry_after_s=2.0)
    try:
        within = LOADED_S if what is Inspected.WAKE_UP else ANSWER_S
        said = await asyncio.gather(
            *(inspect(one, token, what, within) for one in addresses.values())
        )
    except OSError as error:
        raise WorkerUnavailable("a worker does not answer", retry_after_s=2.0) from error
    return dict(zip(addresses, map(json.loads, said), strict=True))
