"""Messages between the leader of an engine and its other ranks: a kind and some bytes.

A socket that both ends have proved to know the engine's secret for. Plans go this way, for which a
call of a Ray actor would take fifty times as long.
"""

import enum
import json
import socket
import struct
import threading
from contextlib import ExitStack, suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import answer_challenge, deliver_challenge
from typing import Any, Self

from raylax.proto.addresses import address_of
from raylax.worker.errors import RankLost

LENGTH = struct.Struct("<I")
LARGEST = 256 << 20
GREETING_S = 5.0
"""For whoever connects to prove that it is a rank of this engine; the next one waits so long."""


class Kind(enum.IntEnum):
    """What a message says. Bodies are JSON where nothing else is said."""

    HELLO = 1
    """Shard: who and where it is."""
    ASSIGN = 2
    """Leader: what to load."""
    READY = 3
    """Shard: it is loaded."""
    PLAN = 4
    """Leader: run this `StepPlan`."""
    CALL = 5
    """Leader: a debug call follows by the ranks' collectives."""
    PING = 6
    """Leader: say how far you are."""
    PONG = 7
    """Shard: a `raylax.worker.ranks.rank.RankPosition`."""
    FAILED = 8
    """Shard: why it cannot go on."""
    OVER = 9
    """Leader: why nobody goes on. The shard says where its threads are, and ends."""
    STACKS = 10
    """Shard: where its threads are, as text."""
    READ = 11
    """Leader: send your parts of these pages (int32) by the ranks' group."""
    WRITE = 12
    """Leader: your parts of these pages follow by the ranks' group."""


class ControlChannel:
    """One end of the connection between the leader and a shard. Any thread may send; one
    receives."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket, self._sending = connected, threading.Lock()
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @classmethod
    def connect(cls, host: str, port: int, secret: bytes) -> Self:
        """A shard's end, to its leader at this address. Raises RankLost."""
        with ExitStack() as failed:
            try:
                channel = cls(socket.create_connection((host, port), GREETING_S))
                failed.callback(channel.close)
                answer_challenge(channel, secret)  # type: ignore[arg-type]  # has what it needs
                deliver_challenge(channel, secret)  # type: ignore[arg-type]
            except (OSError, AuthenticationError, EOFError) as error:
                at = address_of(host, port)
                raise RankLost(f"the leader at {at} cannot be reached: {error}") from error
            failed.pop_all()
        channel.expect_within(None)
        return channel

    @classmethod
    def accept(cls, connected: socket.socket, secret: bytes) -> Self:
        """The leader's end of a connection that it has accepted. Raises RankLost for a stranger."""
        connected.settimeout(GREETING_S)
        channel = cls(connected)
        try:
            deliver_challenge(channel, secret)  # type: ignore[arg-type]
            answer_challenge(channel, secret)  # type: ignore[arg-type]
        except (OSError, AuthenticationError, EOFError) as error:
            channel.close()
            raise RankLost(f"somebody connected who is no rank of ours: {error}") from error
        return channel

    def fileno(self) -> int:
        return self._socket.fileno()

    def expect_within(self, seconds: float | None) -> None:
        """How long `receive` waits; None: for ever."""
        self._socket.settimeout(seconds)

    def send(self, kind: Kind, body: bytes = b"") -> None:
        """Raises OSError when the other end is gone."""
        self.send_bytes(bytes((kind,)) + body)

    def send_json(self, kind: Kind, **facts: Any) -> None:
        """Send a message whose body is JSON. Raises OSError when the other end is gone."""
        self.send(kind, json.dumps(facts).encode())

    def receive(self) -> tuple[Kind, bytes]:
        """The next message. Raises EOFError or OSError when the other end is gone."""
        message = self.recv_bytes()
        return Kind(message[0]), message[1:]

    def close(self) -> None:
        """Close both ends: whoever waits in `receive`, here or there, is let go."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    # What multiprocessing's challenges ask of a connection.

    def send_bytes(self, message: bytes) -> None:
        with self._sending:
            self._socket.sendall(LENGTH.pack(len(message)) + message)

    def recv_bytes(self, largest: int = LARGEST) -> bytes:
        (length,) = LENGTH.unpack(self._read(LENGTH.size))
        if length > largest:
            raise OSError(f"a message of {length} bytes, the limit is {largest}")
        return self._read(length)

    def _read(self, length: int) -> bytes:
        parts = bytearray()
        while len(parts) < length:
            if not (part := self._socket.recv(length - len(parts))):
                raise EOFError("the connection was closed")
            parts += part
        return bytes(parts)
