"""How a rank accepts the connections of others, so that no stranger can hold it up."""

import selectors
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from raylax.proto.addresses import address_of
from raylax.worker.comm.accepting import next_guest
from raylax.worker.comm.deadline import Deadline
from raylax.worker.comm.errors import CommError
from raylax.worker.comm.sealed_socket import NotOurs, RankSocket, sealed
from raylax.worker.comm.tcp.handshake import (
    Channel,
    Hello,
    IncomingPeer,
    PeerRefused,
)

MOST_GUESTS = 256
"""Connections whose hello has not come yet; one more ends the oldest of them."""


class Listener:
    """Where a rank can be reached: `address` is "host:port". A context manager."""

    def __init__(self, host: str, port: int = 0) -> None:
        """Port 0 is any that is free. Raises CommError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self.socket = socket.create_server((host, port), family=family)
        except OSError as error:
            raise CommError(f"cannot listen at {address_of(host, port)}: {error}") from error
        self.socket.setblocking(False)
        self.host, self.address = host, address_of(host, self.socket.getsockname()[1])

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Arrival:
    """A connection whose hello is proved."""

    connection: RankSocket
    hello: Hello


class Acceptor:
    """Accepts each expected rank once for each channel. The connections are the caller's to close,
    unless the `with` block fails."""

    def __init__(self, listener: Listener, secret: bytes, ranks: Iterable[int], world: int) -> None:
        self.arrived: dict[tuple[int, Channel], Arrival] = {}
        self._listener, self._secret, self._world = listener, secret, world
        self._expected = {(rank, channel) for rank in ranks for channel in Channel}
        self._turned_away = 0
        self._waiting = selectors.DefaultSelector()
        self._waiting.register(listener.socket, selectors.EVENT_READ)

    def admit_all(self, deadline: Deadline) -> None:
        """Return when all have come. Raises CommTimeout, which names those who did not."""
        while missing := self._expected - self.arrived.keys():
            if not deadline.left_s:
                ranks = sorted({rank for rank, _ in missing})
                raise deadline.missed_by(ranks, f"did not come to the rendezvous{self._doubts()}")
            ready = [key.data for key, _ in self._waiting.select(deadline.left_s)]
            for peer in ready:
                if peer is not None:
                    self._receive(peer)
            if None in ready:  # last, for it may end one of the others
                self._open()

    def _open(self) -> None:
        if (connection := next_guest(self._listener.socket)) is None:
            return
        guests = [key.data for key in self._waiting.get_map().values() if key.data is not None]
        if len(guests) >= MOST_GUESTS:
            self._dismiss(guests[0])
        peer = IncomingPeer(sealed(connection, self._secret, accepts=True))
        self._waiting.register(connection, selectors.EVENT_READ, peer)

    def _receive(self, peer: IncomingPeer) -> None:
        try:
            hello = peer.receive(self._secret)
        except BlockingIOError:
            return
        except (NotOurs, PeerRefused):
            self._turned_away += 1
            self._dismiss(peer)
            return
        except OSError:
            self._dismiss(peer)
            return
        if hello.world != self._world:
            theirs = f"rank {hello.rank} comes for a world of {hello.world}"
            raise CommError(f"{theirs}, this is one of {self._world}")
        name = (hello.rank, hello.channel)
        if name in self.arrived or name not in self._expected:
            self._dismiss(peer)
            return
        self._waiting.unregister(peer.connection)
        self.arrived[name] = Arrival(peer.connection, hello)

    def _dismiss(self, peer: IncomingPeer) -> None:
        self._waiting.unregister(peer.connection)
        peer.connection.close()

    def _doubts(self) -> str:
        return f" ({self._turned_away} turned away: another secret?)" if self._turned_away else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for key in list(self._waiting.get_map().values()):
            if key.data is not None:
                self._dismiss(key.data)
        self._waiting.close()
        if kind is not None:
            for arrival in self.arrived.values():
                arrival.connection.close()
