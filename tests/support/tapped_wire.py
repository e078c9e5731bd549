"""A network that somebody else holds: between two ends, it hears all, and may change a bit."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

WIRE, FAR = "127.0.0.2", "127.0.0.3"
"""Addresses that are not this machine's own, as those of other machines."""


class Tap:
    """What has been heard, both ways; after `spare` further bytes one of them is changed."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.spare: int | None = None

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := bytearray(await reader.read(1 << 16)):
            self.heard += data
            if self.spare is not None:
                if self.spare < len(data):
                    data[self.spare] ^= 1
                    self.spare = None
                else:
                    self.spare -= len(data)
            writer.write(data)
        writer.close()


@asynccontextmanager
async def tapped(address: str) -> AsyncIterator[tuple[str, Tap]]:
    """Another way to an address, and who listens on it."""
    tap, (host, port) = Tap(), address.rsplit(":", 1)

    connections: set[asyncio.Task[None]] = set()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, int(port))
        try:
            await asyncio.gather(tap.carry(reader, back), tap.carry(there, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for one in (writer, back):
                one.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.create_task(connect(reader, writer)))

    server = await asyncio.start_server(accept, WIRE, 0)
    try:
        yield f"{WIRE}:{server.sockets[0].getsockname()[1]}", tap
    finally:
        server.close()
        for one in connections:
            one.cancel()
        await asyncio.gather(*connections)
