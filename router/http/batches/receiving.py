"""A file on its way from a client to the disk, within limits of size and time."""

import asyncio
from functools import partial

from starlette.requests import ClientDisconnect, Request

from raylax.proto.errors import BodyTooLarge, BodyTooSlow, UnsupportedMediaType
from raylax.router.access.byte_budget import Holding
from raylax.router.config import RouterLimits
from raylax.router.files.disk import aside
from raylax.router.files.files import Upload
from raylax.router.http.batches.form import FileForm
from raylax.router.http.body import LENGTH, SILENT_S, coding_of
from raylax.router.http.disconnect import ClientLeft

PIECE_BYTES = 1 << 20
"""So much of a file is gathered, and then written."""
FORM_BYTES = 64 << 10
"""What a body may have beside its file."""


def announced(request: Request, limits: RouterLimits) -> int:
    """How many bytes the file may have by what the client says of its body. Raises BodyTooLarge,
    and UnsupportedMediaType for a body that is packed."""
    if coding_of(request) is not None:
        raise UnsupportedMediaType(
            "Content-Encoding: a file must come as it is", param="Content-Encoding"
        )
    declared, most = request.headers.get("content-length", ""), limits.max_file_bytes
    if not LENGTH.fullmatch(declared):
        return most
    if int(declared) > most + FORM_BYTES:
        raise BodyTooLarge(f"a file may have {most} bytes, the body has {declared}", param="file")
    return min(int(declared), most)


async def receive(
    request: Request, form: FileForm, upload: Upload, limits: RouterLimits, held: Holding
) -> None:
    """Reads the whole body. It may take `body_timeout_s` for every `max_body_bytes` of it. Raises
    BodyTooLarge, BodyTooSlow, InvalidRequest, Overloaded and ClientLeft."""
    now = asyncio.get_running_loop().time
    begun, received, gathered = now(), 0, bytearray()
    held.take(2 * PIECE_BYTES)
    patience = asyncio.timeout_at(begun + SILENT_S)
    try:
        async with patience:
            async for data in request.stream():
                received += len(data)
                form.feed(data)
                gathered += form.take()
                check_size(upload.bytes + len(gathered), received, limits)
                if len(gathered) >= PIECE_BYTES:
                    await aside(partial(upload.write, gathered))
                    gathered = bytearray()
                whole_s = limits.body_timeout_s * (1 + received / limits.max_body_bytes)
                patience.reschedule(min(begun + whole_s, now() + SILENT_S))
    except TimeoutError:
        raise BodyTooSlow(
            f"the body must not stop for {SILENT_S:g} s, and may take {limits.body_timeout_s:g} s "
            f"for every {limits.max_body_bytes} bytes; there are {received} bytes of it"
        ) from None
    except ClientDisconnect:
        raise ClientLeft from None
    form.close()
    await aside(partial(upload.write, gathered))


def check_size(file_bytes: int, received: int, limits: RouterLimits) -> None:
    """Raises BodyTooLarge."""
    most = limits.max_file_bytes
    if file_bytes > most or received > most + FORM_BYTES:
        raise BodyTooLarge(f"a file may have {most} bytes, this one has more", param="file")
