"""A socket over which only ranks of one engine are understood: TLS, by the secret of their group.

It does what the ranks ask of their sockets, in the same ways, so that they need not know.
"""

import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from raylax.proto.wire.cluster_tls import crosses_a_wire
from raylax.proto.wire.tls_session import TlsSession

CHUNK = 1 << 17
"""Bytes that are sealed, or read from the network, at once."""


class NotOurs(ConnectionError):
    """The other end does not know the secret, or somebody has changed what it said."""


class SealedSocket:
    """A connected socket with TLS over it. One thread reads and any may write. What is said before
    anything was heard is sent by who hears it first: it must be short."""

    def __init__(self, connected: socket.socket, secret: bytes, accepts: bool) -> None:
        self._socket, self._session = connected, TlsSession(secret, accepts)
        self._sending, self._using = threading.Lock(), threading.Lock()
        """Of the order of what is sent, and of the session; in this order."""
        self._unsent = memoryview(b"")
        self._accepted = 0
        """Bytes of the caller's that are sealed, and of which he does not know it yet."""
        self._opened = bytearray()
        with suppress(OSError):  # who has left already is heard to
            self._say(b"")

    @property
    def waiting(self) -> bool:
        """Whether there is something to receive that the network will not announce."""
        return bool(self._opened)

    def sendall(self, content: bytes) -> None:
        """As a socket's; one that does not block keeps what cannot be sent yet."""
        with self._sending:
            self._say(content)

    def send(self, content: bytes) -> int:
        """The same: for short words."""
        self.sendall(content)
        return len(content)

    def sendmsg(self, views: Sequence[memoryview]) -> int:
        """Bytes of these views that were sent. After BlockingIOError it wants the same ones."""
        with self._sending:
            if not self._accepted:
                for view in views:
                    part = view[: CHUNK - self._accepted]
                    with self._using:
                        self._session.write(part)
                    self._accepted += len(part)
            self._say(b"")
            if self._unsent:
                raise BlockingIOError
            sent, self._accepted = self._accepted, 0
        return sent

    def recv(self, size: int) -> bytes:
        """As a socket's; empty when the other end has closed. Raises BlockingIOError also where the
        socket blocks: then something has come, and nothing is whole. Raises NotOurs."""
        if not self._opened:
            if not self._take():
                return b""
            with self._using:
                self._opened += self._session.read()
            if not self._opened:
                raise BlockingIOError
        found = bytes(self._opened[:size])
        del self._opened[:size]
        return found

    def recvmsg_into(self, views: Sequence[memoryview]) -> tuple[int]:
        """How many bytes were read into these views, from first to last; 0 when the other end has
        closed. For a socket that does not block. Raises BlockingIOError, NotOurs."""
        while True:
            count = 0
            for view in views:
                count += (read := self._read_into(view))
                if read < len(view):
                    break
            if count or not self._take():
                return (count,)

    def _read_into(self, view: memoryview) -> int:
        if self._opened:
            part = self._opened[: len(view)]
            view[: len(part)] = part
            del self._opened[: len(part)]
            return len(part)
        with self._using, understood():
            return self._session.read_into(view)

    def _take(self) -> bool:
        """Something from the network; False: there is an end."""
        if not (come := self._socket.recv(CHUNK)):
            return False
        with self._using:
            shaking = not self._session.ready
            try:
                with understood():
                    self._session.incoming(come)
            except NotOurs:
                self._answer()
                raise
        if shaking:
            with self._sending:
                self._say(b"")
        return True

    def _answer(self) -> None:
        """Tell who is none of ours that it is so, if that can be done at once."""
        with suppress(OSError):
            self._socket.send(self._session.outgoing())

    def _say(self, content: bytes) -> None:
        """Send what can be sent now of this, and of what there is."""
        with self._using:
            self._session.write(content)
            more = self._session.outgoing()
        if more:
            self._unsent = memoryview(bytes(self._unsent) + more)
        with suppress(BlockingIOError):
            while self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]

    # What a socket does

    def fileno(self) -> int:
        return self._socket.fileno()

    def settimeout(self, seconds: float | None) -> None:
        self._socket.settimeout(seconds)

    def setblocking(self, blocking: bool) -> None:
        self._socket.setblocking(blocking)

    def setsockopt(self, level: int, name: int, value: int) -> None:
        self._socket.setsockopt(level, name, value)

    def getpeername(self) -> Any:
        return self._socket.getpeername()

    def shutdown(self, how: int) -> None:
        self._socket.shutdown(how)

    def close(self) -> None:
        self._socket.close()


RankSocket = socket.socket | SealedSocket


def sealed(connected: socket.socket, secret: bytes, accepts: bool) -> RankSocket:
    """The socket as ranks use it: as it is on this machine's own address, else with TLS."""
    ours = connected.getsockname() if accepts else connected.getpeername()
    return SealedSocket(connected, secret, accepts) if crosses_a_wire(str(ours[0])) else connected


@contextmanager
def understood() -> Iterator[None]:
    """What TLS does not understand is NotOurs."""
    try:
        yield
    except ssl.SSLError as error:
        raise NotOurs(f"who is there does not know the secret: {error}") from error
