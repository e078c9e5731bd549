"""Reads a request's body, within limits of size and time."""

import asyncio

from starlette.requests import ClientDisconnect, Request

from raylax.proto.errors import BodyTooLarge, BodyTooSlow
from raylax.router.http.disconnect import ClientLeft


async def read_body(request: Request, limit: int, timeout_s: float) -> bytes:
    """The whole body. Raises BodyTooLarge as soon as more than `limit` bytes are announced or have
    come, BodyTooSlow, and ClientLeft."""
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
