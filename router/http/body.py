"""Reads a request's body within a limit, and notices when the client has left."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

from raylax.proto.errors import BodyTooLarge, BodyTooSlow

Result = TypeVar("Result")


class ClientLeft(Exception):
    """Nobody waits for the answer any more."""


async def read_body(request: Request, limit: int, timeout_s: float) -> bytes:
    """Raises BodyTooLarge as soon as it is known: by the header, or while it is read."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise BodyTooLarge(f"the body may have {limit} bytes, it has {declared}")
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for part in request.stream():
                body += part
                if len(body) > limit:
                    raise BodyTooLarge(f"the body may have {limit} bytes, it has more")
    except TimeoutError:
        raise BodyTooSlow(
            f"the body must come within {timeout_s:g} s, there are {len(body)} bytes of it"
        ) from None
    except ClientDisconnect:
        raise ClientLeft from None
    return bytes(body)


async def unless_client_leaves(request: Request, work: Awaitable[Result]) -> Result:
    """The result; if the client disconnects first, the work is cancelled: ClientLeft."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(disconnected(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientLeft
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
