"""How ranks on several hosts find each other.

Rank 0 listens, and somebody tells the others where. They listen, too, connect to rank 0, and say
where; when all have come, rank 0 tells everybody everything. Then each connects to the ranks
between, and accepts those above it.
"""

import json
import socket
import struct
from contextlib import ExitStack
from dataclasses import dataclass

from raylax.proto.addresses import parts_of
from raylax.worker.comm.deadline import Deadline
from raylax.worker.comm.errors import CommError, Unreachable
from raylax.worker.comm.sealed_socket import RankSocket, sealed
from raylax.worker.comm.tcp.acceptor import Acceptor, Listener
from raylax.worker.comm.tcp.handshake import (
    Channel,
    Hello,
    PeerRefused,
    introduce,
    read,
)
from raylax.worker.comm.tcp.link import Link

LENGTH = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class Rendezvous:
    """One rank's part in it. Its links are ready for use; those of a failure are closed."""

    rank: int
    world: int
    secret: bytes
    deadline: Deadline

    def lead(self, listener: Listener) -> list[Link]:
        """Rank 0's part: links to all others, in order of rank. Raises CommError, CommTimeout."""
        with Acceptor(listener, self.secret, range(1, self.world), self.world) as acceptor:
            acceptor.admit_all(self.deadline)
            links = self._links(acceptor)
            addresses = [listener.address]
            addresses += [acceptor.arrived[link.rank, Channel.DATA].hello.address for link in links]
            message = json.dumps(addresses).encode()
            for link in links:
                link.data.sendall(LENGTH.pack(len(message)) + message)
        return links

    def join(self, leader: str, host: str) -> list[Link]:
        """Any other rank's part: its links, in order of rank. `leader` is where rank 0 listens,
        `host` where this one does. Raises CommError, CommTimeout."""
        with ExitStack() as opened, Listener(host) as listener:
            first = self._connect(0, leader, listener.address, opened)
            addresses = self._addresses_from(first)
            between = [
                self._connect(other, addresses[other], listener.address, opened)
                for other in range(1, self.rank)
            ]
            above = range(self.rank + 1, self.world)
            with Acceptor(listener, self.secret, above, self.world) as acceptor:
                acceptor.admit_all(self.deadline)
            opened.pop_all()
            return [first, *between, *self._links(acceptor)]

    def _connect(self, to: int, address: str, ours: str, opened: ExitStack) -> Link:
        connections = {}
        for channel in Channel:
            connection = self._reach(to, address, parts_of(ours)[0])
            opened.callback(connection.close)
            hello = Hello(self.rank, self.world, channel, ours)
            introduce(connection, self.secret, hello, to, self.deadline)
            connections[channel] = connection
        return Link(self.rank, to, connections[Channel.DATA], connections[Channel.CONTROL])

    def _reach(self, to: int, address: str, host: str) -> RankSocket:
        limit = self.deadline.left_s or 1e-6
        try:
            connected = socket.create_connection(parts_of(address), limit, (host, 0))
            return sealed(connected, self.secret, accepts=False)
        except TimeoutError:
            raise self.deadline.missed_by([to], f"did not answer at {address}") from None
        except OSError as error:
            raise Unreachable(f"rank {to} cannot be reached at {address}: {error}") from error

    def _addresses_from(self, first: Link) -> list[str]:
        try:
            (length,) = LENGTH.unpack(read(first.data, LENGTH.size, 0, self.deadline))
            message = read(first.data, length, 0, self.deadline)
        except PeerRefused:
            raise CommError("rank 0 gave up before all ranks had come") from None
        addresses: list[str] = json.loads(message)
        return addresses

    def _links(self, acceptor: Acceptor) -> list[Link]:
        """Links to the ranks that were accepted, in order of rank."""
        met = {name: arrival.connection for name, arrival in acceptor.arrived.items()}
        return [
            Link(self.rank, other, met[other, Channel.DATA], met[other, Channel.CONTROL])
            for other in sorted({other for other, _ in met})
        ]
