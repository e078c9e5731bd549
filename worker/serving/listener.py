"""Who connects to a worker: it says that it is of this cluster, and what it comes for."""

import asyncio
import hmac
from collections.abc import Callable
from weakref import WeakSet

from google.protobuf.message import DecodeError

from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.wire.frames import LARGEST, Connection

SILENCE_S = 10.0
"""After so long without a word a router is gone, or its machine."""
HELLO_S = 5.0
LARGEST_HELLO = 1 << 20
"""Bytes, from who has not shown yet that it may enter."""
OnHello = Callable[[Connection, pb.Hello], None]


class HelloListener:
    """Listens on a port; `on_hello` gets who may enter, and gives the connection its owner."""

    def __init__(self, token: str, on_hello: OnHello) -> None:
        self._token, self._on_hello = token, on_hello
        self._connections: WeakSet[Connection] = WeakSet()
        self._server: asyncio.Server | None = None

    async def open(self, host: str) -> str:
        """On a free port; returns the address."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, host, 0)
        return f"{host}:{self._server.sockets[0].getsockname()[1]}"

    def close(self, why: str) -> None:
        """Everybody is told, and nobody comes any more."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.end(why)

    def abort(self) -> None:
        """As `close`, without a word: so it looks when a process dies."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.abort()

    def _accept(self) -> Connection:
        connection = Connection(
            lambda message: self._check(connection, message, late),
            lambda how, why: late.cancel(),
            SILENCE_S,
            LARGEST_HELLO,
        )
        self._connections.add(connection)
        loop = asyncio.get_running_loop()
        late = loop.call_later(HELLO_S, connection.end, f"no hello came within {HELLO_S:g} s")
        return connection

    def _check(self, connection: Connection, message: bytes, late: asyncio.TimerHandle) -> None:
        late.cancel()
        try:
            hello = pb.Hello.FromString(message)
        except DecodeError:
            connection.end("the hello cannot be read")
            return
        if not hmac.compare_digest(hello.token.encode(), self._token.encode()):
            connection.end("the cluster token is missing or another one")
            return
        connection.largest = LARGEST
        connection.on_message = lambda message: connection.end("one hello is enough")
        self._on_hello(connection, hello)
