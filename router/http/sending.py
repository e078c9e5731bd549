"""Answers leave as fast as they are read. What waits meanwhile is bounded, all together, and has
an end.

A server keeps whatever it is given until it is read: an answer of megabytes is given to it in
pieces.
"""

import asyncio

from starlette.datastructures import Headers
from starlette.types import Message, Send

from raylax.proto.errors import Overloaded
from raylax.router.access.byte_budget import ByteBudget
from raylax.router.access.held_bytes import held_bytes
from raylax.router.http.disconnect import ClientLeft

PIECE_BYTES = 64 << 10
"""So much waits for any client, as in the server's own buffer."""


class AnswerSender:
    """Sends what applications answer, for all connections."""

    def __init__(self, budget: ByteBudget, read_timeout_s: float) -> None:
        """`read_timeout_s`: for a client to read one piece of a whole answer."""
        self._budget, self._read_timeout_s = budget, read_timeout_s

    def check(self, tenant: str, headers: Headers) -> None:
        """Raises Overloaded, while an answer can still be another one, if there is no room for it
        to wait."""
        length = int(headers.get("content-length", "0"))  # an application's own
        if length > PIECE_BYTES:
            self._budget.check(tenant, length)

    async def send(self, message: Message, tenant: str, send: Send) -> None:
        """Sends a part of an answer's body. Raises ClientLeft when nobody reads it in time, or when
        another tenant needs the room. How long a stream waits for its reader is its own matter."""
        body, more = message.get("body", b""), message.get("more_body", False)
        if len(body) <= PIECE_BYTES:
            await send(message)
            return
        each_s = None if more else self._read_timeout_s
        try:
            async with held_bytes(self._budget, tenant) as held:
                held.take(len(body))
                await self._send_pieces(body, more, send, each_s)
        except (TimeoutError, Overloaded) as error:
            raise ClientLeft from error

    async def _send_pieces(self, body: bytes, more: bool, send: Send, each_s: float | None) -> None:
        for at in range(0, len(body), PIECE_BYTES):
            end = at + PIECE_BYTES
            piece = {
                "type": "http.response.body",
                "body": body[at:end],
                "more_body": more or end < len(body),
            }
            async with asyncio.timeout(each_s):
                await send(piece)
