"""Messages between the leader of an engine and its other ranks: a kind and some bytes.

A socket that both ends have proved to know the engine's secret for, with TLS between machines.
Plans go this way, for which a call of a Ray actor would take fifty times as long.
"""

import enum
import json
import socket
import struct
import threading
import time
from contextlib import ExitStack, suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import answer_challenge, deliver_challenge
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, Self

from raylax.proto.addresses import address_of
from raylax.worker.comm.accepting import next_guest
from raylax.worker.comm.sealed_socket import RankSocket, SealedSocket, sealed
from raylax.worker.errors import RankLost

LENGTH = struct.Struct("<I")
LARGEST = 256 << 20
GREETING_S = 5.0
"""For whoever connects to prove that it is a rank of this engine."""
MOST_GUESTS = 64
"""Connections that have not proved it yet; one more ends the oldest of them."""
POLL_S = 0.1


class Kind(enum.IntEnum):
    """What a message says. Bodies are JSON where nothing else is said."""

    HELLO = 1
    """Shard: who and where it is; or an `error`, why it cannot be a rank."""
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

    def __init__(self, connected: RankSocket) -> None:
        self._socket, self._sending = connected, threading.Lock()
        self._until: float | None = None
        """When a greeting must be over; None: each part of a message has the socket's time."""
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @classmethod
    def connect(cls, host: str, port: int, secret: bytes) -> Self:
        """A shard's end, to its leader at this address. Raises RankLost."""
        with ExitStack() as failed:
            try:
                connected = socket.create_connection((host, port), GREETING_S)
                failed.callback(connected.close)
                channel = cls(sealed(connected, secret, accepts=False))
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
        """The leader's end of a connection that it has accepted; what the shard says first has to
        come in time, too, until `expect_within`. Raises RankLost for a stranger."""
        connected.settimeout(GREETING_S)
        channel = cls(sealed(connected, secret, accepts=True))
        channel._until = time.monotonic() + GREETING_S  # also for who sends a byte now and then
        try:
            deliver_challenge(channel, secret)  # type: ignore[arg-type]
            answer_challenge(channel, secret)  # type: ignore[arg-type]
        except (OSError, AuthenticationError, EOFError) as error:
            channel.close()
            raise RankLost(f"somebody connected who is no rank of ours: {error}") from error
        return channel

    @property
    def waiting(self) -> bool:
        """Whether a message, or the beginning of one, is here already: no selector would say so."""
        return isinstance(self._socket, SealedSocket) and self._socket.waiting

    def fileno(self) -> int:
        return self._socket.fileno()

    def expect_within(self, seconds: float | None) -> None:
        """How long `receive` waits; None: for ever."""
        self._until = None
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
            if self._until is not None:
                self._socket.settimeout(max(self._until - time.monotonic(), 1e-6))
            try:
                part = self._socket.recv(length - len(parts))
            except BlockingIOError:  # something has come, and it is not whole
                continue
            if not part:
                raise EOFError("the connection was closed")
            parts += part
        return bytes(parts)


class Arrival(NamedTuple):
    """A rank that has proved to be one of this engine."""

    channel: ControlChannel
    facts: dict[str, Any]
    """What it says of itself."""


class Reception:
    """Accepts whoever connects; each has a thread of its own, and seconds to show who it is. A
    context manager, which closes `server` and who has not been taken."""

    def __init__(self, server: socket.socket, secret: bytes) -> None:
        self._server, self._secret = server, secret
        self._arrivals: SimpleQueue[Arrival] = SimpleQueue()
        self._guests: dict[socket.socket, None] = {}
        """The oldest first. Written by all threads, under the lock."""
        self._lock, self._closed = threading.Lock(), False
        server.settimeout(POLL_S)
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def next(self, timeout_s: float) -> Arrival | None:
        """The next rank to come; None: none has in this time."""
        try:
            return self._arrivals.get(timeout=timeout_s)
        except Empty:
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._closed = True
        self._accepting.join()
        self._server.close()
        with self._lock:
            for guest in self._guests:
                shut(guest)
        while (arrival := self.next(0)) is not None:
            arrival.channel.close()

    def _accept(self) -> None:
        while not self._closed:
            if (guest := next_guest(self._server)) is None:
                continue
            with self._lock:
                if len(self._guests) >= MOST_GUESTS:
                    oldest = next(iter(self._guests))
                    del self._guests[oldest]
                    shut(oldest)
                self._guests[guest] = None
            threading.Thread(target=self._greet, args=(guest,), daemon=True).start()

    def _greet(self, guest: socket.socket) -> None:
        try:
            channel = ControlChannel.accept(guest, self._secret)
        except RankLost:
            return
        finally:
            with self._lock:
                known = guest in self._guests
                self._guests.pop(guest, None)
        try:
            facts = json.loads(channel.receive()[1])
            channel.expect_within(GREETING_S)
        except (OSError, EOFError, ValueError):
            known = False
        with self._lock:
            if known and not self._closed:
                self._arrivals.put(Arrival(channel, facts))
                return
        channel.close()


def shut(guest: socket.socket) -> None:
    """Ends the connection; the thread that reads from it closes the socket."""
    with suppress(OSError):
        guest.shutdown(socket.SHUT_RDWR)
