"""The port of a worker: whoever connects proves with its hello that it is of this cluster, is shown
the same, and says what it wants."""

import asyncio
from collections.abc import Callable
from weakref import WeakSet

from google.protobuf.message import DecodeError

from raylax.proto.addresses import address_of
from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.wire.cluster_tls import context_of, crosses_a_wire
from raylax.proto.wire.frames import LARGEST, LARGEST_OF_STRANGERS, Connection
from raylax.proto.wire.introduction import Examination, Stranger
from raylax.proto.wire.tls_session import session_with

SILENCE_S = 10.0
"""After so long without a word a router is gone, or its machine."""
HELLO_S = 5.0
"""For the hello to come."""
MOST_STRANGERS = 256
"""Connections without a hello at once; one more ends the oldest of them. Whoever knows the secret
says so at once."""
OnHello = Callable[[Connection, pb.Hello], None]


class HelloListener:
    """Listens on a port, and hands on each connection whose hello knows the cluster's token."""

    def __init__(self, token: str, on_hello: OnHello) -> None:
        """`on_hello` takes the connection over: it sets `on_message`, or ends it."""
        self._token, self._on_hello = token, on_hello
        self._connections: WeakSet[Connection] = WeakSet()
        self._strangers: dict[Connection, None] = {}
        """Whose hello has not come yet, the oldest first."""
        self._server: asyncio.Server | None = None

    async def open(self, host: str) -> str:
        """Listen on a free port of this host; returns the address."""
        loop = asyncio.get_running_loop()
        if crosses_a_wire(host):
            context_of(self._token, accepts=True)  # its making takes longer than what follows
        self._server = await loop.create_server(lambda: self._accept(host), host, 0)
        return address_of(host, self._server.sockets[0].getsockname()[1])

    def close(self, why: str) -> None:
        """Listen no more, and end all connections with this reason."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.end(why)

    def abort(self) -> None:
        """Close without giving a reason: so it looks when a process dies."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.abort()

    def _accept(self, host: str) -> Connection:
        examination = Examination(self._token)
        connection = Connection(
            lambda message: self._check(connection, examination, message, late),
            lambda how, why: self._is_no_stranger(connection, late),
            SILENCE_S,
            LARGEST_OF_STRANGERS,
        ).sealed_by(session_with(host, self._token, accepts=True))
        connection.send(examination.challenge)
        self._connections.add(connection)
        if len(self._strangers) >= MOST_STRANGERS:
            next(iter(self._strangers)).end("others have come that may know the token")
        self._strangers[connection] = None
        loop = asyncio.get_running_loop()
        late = loop.call_later(HELLO_S, connection.end, f"no hello came within {HELLO_S:g} s")
        return connection

    def _check(
        self,
        connection: Connection,
        examination: Examination,
        message: bytes,
        late: asyncio.TimerHandle,
    ) -> None:
        self._is_no_stranger(connection, late)
        try:
            said, answer = examination.answer_to(message)
            hello = pb.Hello.FromString(said)
        except Stranger:
            connection.end("the cluster token is missing or another one")
            return
        except DecodeError:
            connection.end("the hello cannot be read")
            return
        connection.send(answer)
        connection.largest = LARGEST
        connection.on_message = lambda message: connection.end("one hello is enough")
        self._on_hello(connection, hello)

    def _is_no_stranger(self, connection: Connection, late: asyncio.TimerHandle) -> None:
        """It has shown who it is, or is gone."""
        late.cancel()
        self._strangers.pop(connection, None)
