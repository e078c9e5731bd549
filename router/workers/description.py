"""Asks a worker what it serves."""

import asyncio
from contextlib import aclosing

from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.wire.frames import ask


async def describe(address: str, token: str, timeout_s: float) -> pb.Description:
    """Raises OSError if the worker does not answer in time."""
    hello = pb.Hello(describe=pb.Describe())
    async with (
        asyncio.timeout(timeout_s),
        aclosing(ask(address, hello.SerializeToString(), timeout_s, token)) as answers,
    ):
        async for answer in answers:
            return pb.Description.FromString(answer)
    raise ConnectionError("it says nothing of itself")
