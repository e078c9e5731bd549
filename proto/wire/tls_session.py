"""One end of TLS over whatever carries bytes. Nothing here waits, and nothing is sent.

What is written before the handshake is over is kept until it is.
"""

import ssl
from typing import cast

from raylax.proto.wire.cluster_tls import context_of, crosses_a_wire

RECORD = 1 << 14
"""Bytes that TLS seals, and so opens, at once: to ask for more takes memory for nothing."""


class TlsSession:
    """An end of one connection, for one thread at a time. All but `outgoing` raise SSLError, an
    OSError, for another end that is not of the cluster; `outgoing` then has what tells it so."""

    def __init__(self, secret: str | bytes, accepts: bool) -> None:
        self._come, self._goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context_of(secret, accepts).wrap_bio(self._come, self._goes, accepts)
        self._early = bytearray()
        self.ready = False
        """Whether the other end has shown its certificate."""
        self._shake_hands()

    def incoming(self, content: bytes | memoryview) -> None:
        """Take what has come."""
        self._come.write(content)
        if not self.ready:
            self._shake_hands()

    def outgoing(self) -> bytes:
        """What is to be sent now."""
        return self._goes.read()

    def write(self, content: bytes | memoryview) -> None:
        """Say it to the other end."""
        if not self.ready:
            self._early += content
            return
        left = memoryview(content)
        while left:
            left = left[self._tls.write(left) :]

    def read(self) -> bytes:
        """What the other end has said, as far as it is whole; empty if nothing is."""
        parts = []
        while part := self._read_some():
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_into(self, room: memoryview) -> int:
        """Bytes that were read to the beginning of a room; 0: nothing is whole."""
        try:
            return cast(int, self._tls.read(len(room), room)) if self.ready and room else 0
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            return 0

    def _read_some(self) -> bytes:
        try:
            return self._tls.read(RECORD) if self.ready else b""
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            return b""

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.ready = True
        early, self._early = bytes(self._early), bytearray()
        self.write(early)


def session_with(host: str, secret: str | bytes, accepts: bool) -> TlsSession | None:
    """An end of a connection over this address; None: it needs no TLS."""
    return TlsSession(secret, accepts) if crosses_a_wire(host) else None
