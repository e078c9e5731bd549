"""A file's content as an answer, as fast as it is read."""

import asyncio
import os
from functools import partial

from starlette.types import Receive, Scope, Send

from raylax.proto.openai.batches.files import FileObject
from raylax.router.files.disk import aside
from raylax.router.http.disconnect import ClientLeft
from raylax.router.http.sending import PIECE_BYTES


class FileContent:
    """An ASGI response of what an open file holds; it is closed in the end."""

    def __init__(self, record: FileObject, file: int, read_timeout_s: float) -> None:
        """`read_timeout_s`: for a client to read one piece."""
        self._record, self._file, self._read_timeout_s = record, file, read_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            size = self._record.bytes
            headers = [
                (b"content-type", b"application/octet-stream"),
                (b"content-length", str(size).encode()),
                (b"x-content-type-options", b"nosniff"),
            ]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            for at in range(0, size, PIECE_BYTES):
                await self._send(send, await aside(partial(self._read, at)), True)
            await self._send(send, b"", False)
        finally:
            os.close(self._file)

    def _read(self, at: int) -> bytes:
        return os.pread(self._file, PIECE_BYTES, at)

    async def _send(self, send: Send, body: bytes, more: bool) -> None:
        try:
            async with asyncio.timeout(self._read_timeout_s):
                await send({"type": "http.response.body", "body": body, "more_body": more})
        except TimeoutError as error:
            raise ClientLeft from error
