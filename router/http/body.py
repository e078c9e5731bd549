"""Reads a request's body, within limits of size and time, as the bytes of its JSON."""

import asyncio
import re
import zlib
from codecs import BOM_UTF8
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect, Request

from raylax.proto.errors import (
    BodyTooLarge,
    BodyTooSlow,
    InvalidRequest,
    UnsupportedMediaType,
    shown,
)
from raylax.router.access.byte_budget import Holding
from raylax.router.access.caller import caller
from raylax.router.access.held_bytes import held_bytes
from raylax.router.calls.models import Models
from raylax.router.config import RouterLimits
from raylax.router.http.disconnect import ClientLeft

LENGTH = re.compile("[0-9]{1,20}")
COMPRESSED = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
"""Content codings, and how zlib is told of each."""
SILENT_S = 10.0
"""How long a body may make no progress, whatever time it has altogether."""
MOST_EXPANSION = 1040
"""What comes out of a byte at most: deflate has 1032 for the best of them, and a last one more."""


@asynccontextmanager
async def body_of(request: Request, models: Models) -> AsyncIterator[bytes]:
    """A request's whole body, as `read_body`. While the block runs it is one of those that the
    router holds; Overloaded within it where others need the room."""
    async with held_bytes(models.state.bodies, caller().tenant) as held:
        yield await read_body(request, models.config.limits, held)


async def read_body(request: Request, limits: RouterLimits, held: Holding) -> bytes:
    """The whole body, unpacked if it was packed, without a byte order mark. Raises BodyTooLarge as
    soon as more bytes than it may have are announced, have come, or come out of it, Overloaded as
    soon as there is no room for them, BodyTooSlow, UnsupportedMediaType, InvalidRequest for what
    cannot be unpacked, and ClientLeft."""
    coding = coding_of(request)
    raw = await received(request, limits, held)
    if coding is not None:
        most = limits.max_body_bytes
        held.take(min(most, MOST_EXPANSION * len(raw)))
        raw = await asyncio.to_thread(unpacked, raw, coding, most)
        held.keep(len(raw))
    return raw.removeprefix(BOM_UTF8)


async def received(request: Request, limits: RouterLimits, held: Holding) -> bytes:
    """The body as it comes. Raises BodyTooLarge, Overloaded, BodyTooSlow and ClientLeft."""
    limit, timeout_s = limits.max_body_bytes, limits.body_timeout_s
    declared = request.headers.get("content-length", "")
    if LENGTH.fullmatch(declared):
        if int(declared) > limit:
            raise BodyTooLarge(f"the body may have {limit} bytes, it has {declared}")
        held.check(int(declared))
    body, now = bytearray(), asyncio.get_running_loop().time
    end = now() + timeout_s
    patience = asyncio.timeout_at(min(end, now() + SILENT_S))
    try:
        async with patience:
            async for part in request.stream():
                if part:
                    patience.reschedule(min(end, now() + SILENT_S))
                held.take(len(part))
                body += part
                if len(body) > limit:
                    raise BodyTooLarge(f"the body may have {limit} bytes, it has more")
    except TimeoutError:
        rule = f"come within {timeout_s:g} s" if now() >= end else f"not stop for {SILENT_S:g} s"
        raise BodyTooSlow(f"the body must {rule}, there are {len(body)} bytes of it") from None
    except ClientDisconnect:
        raise ClientLeft from None
    return bytes(body)


def coding_of(request: Request) -> str | None:
    """How the body is packed; None: not at all. Raises UnsupportedMediaType for what is not
    known here, and for more than one coding."""
    named = ",".join(request.headers.getlist("content-encoding")).lower().split(",")
    codings = [one for name in named if (one := name.strip()) not in ("", "identity")]
    if not codings:
        return None
    if len(codings) > 1 or codings[0] not in COMPRESSED:
        raise UnsupportedMediaType(
            f"Content-Encoding: must be one of gzip, deflate and identity, found "
            f"{shown(', '.join(codings))}",
            param="Content-Encoding",
        )
    return codings[0]


def unpacked(raw: bytes, coding: str, limit: int) -> bytes:
    """What was packed, of which no more than `limit` bytes are ever made. Raises BodyTooLarge, and
    InvalidRequest for what is damaged, or not one whole."""
    bits = COMPRESSED[coding]
    if coding == "deflate" and not has_zlib_head(raw):
        bits = -zlib.MAX_WBITS  # many clients leave its head out
    stream = zlib.decompressobj(bits)
    try:
        body = stream.decompress(raw, limit + 1)
    except zlib.error as error:
        raise InvalidRequest(f"the body is not valid {coding}: {error}") from None
    if len(body) > limit:
        raise BodyTooLarge(f"the body may have {limit} bytes, it has more when unpacked")
    if raw and not stream.eof:
        raise InvalidRequest(f"the body is not valid {coding}: its end is missing")
    if stream.unused_data:
        raise InvalidRequest(f"the body is not valid {coding}: something follows its end")
    return body


def has_zlib_head(raw: bytes) -> bool:
    """Whether these begin as RFC 1950 says: with a method, and a sum over itself."""
    return len(raw) > 1 and raw[0] & 0x0F == zlib.DEFLATED and (raw[0] << 8 | raw[1]) % 31 == 0
