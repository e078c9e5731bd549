"""Who has how many of the gRPC port's connections.

gRPC's server knows one number for all of them, so one source could have them all, and says nothing
of who has them. So the sockets of this process are looked at several times a second, and those that
a source has beyond its part are shut: such without a call first, the silent ones before others.
HAProxy does the same for HTTP, without looking (`raylax.cluster.ray_patches.front_door_limits`).
"""

import asyncio
import logging
import os
import socket
import struct
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import unquote

import grpc.aio

from raylax.proto.wire.connection_room import ConnectionRoom, source_of

log = logging.getLogger(__name__)
COUNT_EVERY_S = 0.1
LOOK_EVERY_S = 10.0
"""While hardly any connections come: a look at thousands of sockets takes a tenth of a second."""
MAPPED = "::ffff:"
LAST_DATA_RECEIVED_MS = struct.Struct("52xI")
"""In Linux' tcp_info."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One of a client's."""

    fd: int
    peer: str
    """As gRPC names it to calls, less the kind of address: HOST:PORT."""
    source: str
    silent_s: float
    """Since the client has said anything."""


def excess(
    connections: Iterable[Connection], busy: Set[str], room: ConnectionRoom
) -> list[Connection]:
    """Those that must go, since their source has more than its part. `busy`: peers with calls."""
    by_source = defaultdict[str, list[Connection]](list)
    for one in connections:
        by_source[one.source].append(one)
    taken, found = sum(map(len, by_source.values())), list[Connection]()
    for source, theirs in by_source.items():
        if (over := len(theirs) - room.of(source, taken)) > 0:
            theirs.sort(key=lambda one: (one.peer in busy, -one.silent_s))
            found += theirs[:over]
    return found


class ConnectionParts:
    """Gives each source its part of a server's connections. Used on one event loop."""

    def __init__(self, room: ConnectionRoom) -> None:
        self._room, self._calls = room, Counter[str]()
        self._keeping: asyncio.Task[None] | None = None

    @contextmanager
    def busy(self, peer: str) -> Iterator[None]:
        """A call of who was let in is under way on a connection; `peer`: gRPC's name for it."""
        name = name_of(peer)
        self._calls[name] += 1
        try:
            yield
        finally:
            self._calls[name] -= 1
            if not self._calls[name]:
                del self._calls[name]

    def keep(self, server: grpc.aio.Server, port: int) -> None:
        """From now on, until the server has ended."""
        self._keeping = asyncio.create_task(self._keep(server, port))

    async def _keep(self, server: grpc.aio.Server, port: int) -> None:
        ended = asyncio.ensure_future(server.wait_for_termination())
        looked_at, seen = time.monotonic(), 0
        while not ended.done():
            await asyncio.wait([ended], timeout=COUNT_EVERY_S)
            now, files = time.monotonic(), len(os.listdir("/proc/self/fd"))
            due = files > seen + self._room.when_crowded // 4 or now - looked_at >= LOOK_EVERY_S
            if files > self._room.of_an_address and due:
                looked_at, busy = now, frozenset(self._calls)
                cut = await asyncio.to_thread(shut_excess, port, self._room, busy)
                seen = files - cut.total()
                for source, count in cut.items():
                    log.warning("%s has too many gRPC connections: %d are closed", source, count)
            else:
                seen = min(seen, files)


def shut_excess(port: int, room: ConnectionRoom, busy: Set[str]) -> Counter[str]:
    """How many were shut, by source."""
    return Counter(
        one.source for one in excess(connections_at(port), busy, room) if shut(one, port)
    )


def connections_at(port: int) -> list[Connection]:
    """The connections of clients that this process has at a port. Each file is taken for a socket
    of IPv6, which asks nothing of the kernel, and whose addresses have room for those of IPv4."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError, ValueError):
            looked_at = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, 0, int(name))
            try:
                if (peer := peer_at(looked_at, port)) is not None:
                    source, silent_s = source_of(host_in(peer)), silent_ms(looked_at) / 1000
                    found.append(Connection(int(name), peer, source, silent_s))
            finally:
                looked_at.detach()  # it is gRPC's
    return found


def name_of(peer: str) -> str:
    """HOST:PORT of gRPC's name for a peer."""
    _, _, name = unquote(peer).partition(":")
    return name


def host_in(name: str) -> str:
    """The address in HOST:PORT."""
    host, _, _ = name.rpartition(":")
    return host.strip("[]")


def peer_at(looked_at: socket.socket, port: int) -> str | None:
    """Who is at the other end of a connection at this port of ours. Raises OSError for anything
    else than a connected socket."""
    own, peer = looked_at.getsockname(), looked_at.getpeername()
    if not isinstance(own, tuple) or not isinstance(peer, tuple) or own[1] != port:
        return None
    host = peer[0].removeprefix(MAPPED)
    return f"[{host}]:{peer[1]}" if ":" in host else f"{host}:{peer[1]}"


def silent_ms(looked_at: socket.socket) -> int:
    told = looked_at.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, LAST_DATA_RECEIVED_MS.size)
    silent: int = LAST_DATA_RECEIVED_MS.unpack(told)[0]
    return silent


def shut(one: Connection, port: int) -> bool:
    """Whether it was still there. gRPC sees its end as if the client had left."""
    with suppress(OSError), socket.socket(fileno=os.dup(one.fd)) as held:
        if peer_at(held, port) == one.peer:  # and not another that has this number now
            held.shutdown(socket.SHUT_RDWR)
            return True
    return False
