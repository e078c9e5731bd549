"""Messages over a plain TCP connection: what routers and workers tell each other at every step.

A frame is a kind (a byte), a size (four bytes, the lowest first) and so many bytes. Each end says
something at least once a second, so that silence means a loss; the last frame may say why it is
the last. Nothing here waits, and no other thread has a part in it: a token costs one read.
"""

import asyncio
import ssl
import struct
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from enum import Enum, IntEnum, auto
from typing import cast

from raylax.proto.addresses import parts_of
from raylax.proto.wire.introduction import Introduction, Stranger
from raylax.proto.wire.tls_session import TlsSession, session_with

HEAD = struct.Struct("<BI")
LARGEST = 64 << 20
LARGEST_OF_STRANGERS = 1 << 20
"""Bytes of a message from an end that has not shown yet that it is of this cluster."""
HEARTBEAT_S = 1.0
"""An end that has said nothing for so long says that it is there."""
LINGER_S = 1.0
"""Time for the other end to take what was said before the end."""
TICKS = 8
"""Silence is counted in so many ticks, which a loop that is late does not count: what has come
meanwhile is read first."""
STRANGER = "who answers there does not know the cluster's token"


class FrameKind(IntEnum):
    """What a frame is: its first byte."""

    MESSAGE = 0
    HEARTBEAT = 1
    END = 2
    """The last frame. Its content says why; it is empty when simply all has been said."""


class EndReason(Enum):
    """Why a connection ended."""

    CLOSED = auto()
    """One of its ends has closed it, with a reason or because all was said."""
    SILENT = auto()
    """The other end has said nothing for too long."""
    BROKEN = auto()
    """The connection, or the process at its other end, was lost."""


class Connection(asyncio.Protocol):
    """One end of a connection. `on_message` hears each message, `on_end` hears once how it ended,
    and why. What is sent before the connection is made is sent then, to no stranger. To be used on
    the event loop on which it was created.
    """

    def __init__(
        self,
        on_message: Callable[[bytes], None],
        on_end: Callable[[EndReason, str], None],
        silence_s: float,
        largest: int = LARGEST,
    ) -> None:
        """The other end counts as lost after `silence_s` without a word. A message from there may
        have `largest` bytes."""
        self.on_message, self.on_end, self.largest = on_message, on_end, largest
        self.closed = False
        self.writable = asyncio.Event()
        """Unset while the other end reads too slowly."""
        self.writable.set()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._introduction: Introduction | None = None
        self._tls: TlsSession | None = None
        self._early: list[bytes] = []
        self._part = bytearray()  # of a frame
        self._needed = 0  # bytes, until it is whole
        self._silence_s, self._silent_ticks = silence_s, 0
        self._tick_s = min(HEARTBEAT_S, silence_s) / TICKS
        self._sent_at = 0.0
        self._ticking = self._loop.call_later(self._tick_s, self._tick)
        self._connecting: asyncio.Task[None] | None = None
        self._lingering: asyncio.TimerHandle | None = None

    def connect(self, address: str, introduction: Introduction | None = None) -> None:
        """Begin to connect; the connection ends as BROKEN if nobody is there. With an introduction
        nothing is sent before the other end has shown who it is, and what crosses a wire is
        sealed."""
        self._introduction = introduction
        self._connecting = self._loop.create_task(self._connect(address))

    def sealed_by(self, session: TlsSession | None) -> "Connection":
        """Say and hear everything by this session. Before the connection is made."""
        self._tls = session
        return self

    async def _connect(self, address: str) -> None:
        try:
            host, port = parts_of(address)
            if self._introduction is not None:
                self.sealed_by(session_with(host, self._introduction.secret, accepts=False))
            await self._loop.create_connection(lambda: self, host, port)
        except (OSError, ValueError) as error:
            self._finish(EndReason.BROKEN, f"{address} cannot be reached: {error}")

    def send(self, message: bytes) -> None:
        """Send it as soon as possible; it is kept while the other end does not read."""
        self._write(FrameKind.MESSAGE, message)

    def end(self, why: str = "") -> None:
        """Close it with a last word; an empty one means that all has been said."""
        if not self.closed:
            self._write(FrameKind.END, why.encode())
            if (transport := self._transport) is not None and self._introduction is None:
                # Not closed before the other end has read all of it: a heartbeat that comes to a
                # closed socket is answered by a reset, which discards what is unread there.
                with suppress(OSError):  # it may be gone
                    transport.write_eof()
                self._lingering = self._loop.call_later(LINGER_S, transport.abort)
            self._finish(EndReason.CLOSED, why)

    def abort(self) -> None:
        """Close it at once, without a word."""
        self._finish(EndReason.CLOSED, "")

    def _write(self, kind: FrameKind, content: bytes) -> None:
        frame = HEAD.pack(kind, len(content)) + content
        if self._transport is None or self._introduction is not None:
            self._early.append(frame)
        elif not self.closed:
            self._sent_at = self._loop.time()
            self._put(frame)

    def _put(self, content: bytes) -> None:
        assert self._transport is not None
        if self._tls is None:
            self._transport.write(content)
        else:
            self._tls.write(content)
            if sealed := self._tls.outgoing():
                self._transport.write(sealed)

    def _finish(self, how: EndReason, why: str) -> None:
        if self.closed:
            return
        self.closed = True
        self._ticking.cancel()
        self.writable.set()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._transport is not None and self._lingering is None:
            self._transport.abort()
        self.on_end(how, why)

    def _tick(self) -> None:
        self._ticking = self._loop.call_later(self._tick_s, self._tick)
        self._silent_ticks += 1
        if self._silent_ticks * self._tick_s >= self._silence_s:
            self._finish(EndReason.SILENT, f"nothing was heard for {self._silence_s:g} s")
        elif self._introduction is not None:
            return
        elif self._loop.time() - self._sent_at >= HEARTBEAT_S and self.writable.is_set():
            self._write(FrameKind.HEARTBEAT, b"")

    # What asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        if self.closed:  # meanwhile nobody wants it any more
            self._transport.abort()
        elif self._introduction is None:
            self._send_what_waits()
        elif self._tls is not None:
            self._put(b"")  # begins the handshake

    def _send_what_waits(self) -> None:
        early, self._early = self._early, []
        self._put(b"".join(early))

    def _opened(self, tls: TlsSession, data: bytes) -> bytes:
        """What was sealed; nothing after what is none of the cluster's."""
        assert self._transport is not None
        try:
            tls.incoming(data)
            return tls.read()
        except ssl.SSLError as error:
            if self._introduction is not None:
                self._finish(EndReason.CLOSED, STRANGER)
            else:
                self._finish(EndReason.BROKEN, f"what came was not sealed by the cluster: {error}")
            return b""
        finally:
            if not self.closed and (sealed := tls.outgoing()):
                self._transport.write(sealed)

    def data_received(self, data: bytes) -> None:
        if self.closed:
            return  # all has been said
        self._silent_ticks = 0
        if self._tls is not None:
            data = self._opened(self._tls, data)
        if self._part:
            self._part += data
            if len(self._part) < self._needed:
                return
            data, self._part = bytes(self._part), bytearray()
        at, there = 0, len(data)
        while not self.closed:
            self._needed = HEAD.size
            if there - at >= HEAD.size:
                kind, size = HEAD.unpack_from(data, at)
                if not self._is_frame(kind, size):
                    return
                self._needed += size
            if there - at < self._needed:
                self._part += data[at:]
                return
            begin, at = at + HEAD.size, at + self._needed
            self._take(kind, data[begin:at])

    def _is_frame(self, kind: int, size: int) -> bool:
        """Whether it can be a frame of ours: somebody else may have found this port."""
        if kind > FrameKind.END:
            self.end(f"a frame of kind {kind} is none of ours")
        elif size > (most := self.largest if self._introduction is None else LARGEST_OF_STRANGERS):
            self.end(f"a message may have {most} bytes here, not {size}")
        return not self.closed

    def _take(self, kind: int, content: bytes) -> None:
        if kind == FrameKind.MESSAGE:
            if self._introduction is None:
                self.on_message(content)
            else:
                self._introduce(self._introduction, content)
        elif kind == FrameKind.END:
            self._finish(EndReason.CLOSED, content.decode(errors="replace"))

    def _introduce(self, introduction: Introduction, message: bytes) -> None:
        assert self._transport is not None
        try:
            answer = introduction.answer_to(message)
        except Stranger:
            self._finish(EndReason.CLOSED, STRANGER)
            return
        if answer is not None:
            self._put(HEAD.pack(FrameKind.MESSAGE, len(answer)) + answer)
        else:
            self._introduction = None
            self._send_what_waits()

    def connection_lost(self, error: Exception | None) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
        self._finish(EndReason.BROKEN, str(error) if error else "it ended the connection")

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()


async def ask(address: str, hello: bytes, silence_s: float, secret: str) -> AsyncGenerator[bytes]:
    """The messages that come in answer to a hello, until all is said; close it when leaving early.
    Raises ConnectionError when the connection ends otherwise."""
    come: asyncio.Queue[bytes | tuple[EndReason, str]] = asyncio.Queue()
    connection = Connection(
        come.put_nowait, lambda how, why: come.put_nowait((how, why)), silence_s
    )
    connection.connect(address, Introduction(secret, hello))
    try:
        while isinstance(one := await come.get(), bytes):
            yield one
        if one != (EndReason.CLOSED, ""):
            raise ConnectionError(one[1])
    finally:
        connection.abort()
