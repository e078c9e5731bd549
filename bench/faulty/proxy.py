"""A network between a router and a worker that can be slow, or gone."""

import asyncio
from contextlib import suppress


class Proxy:
    """Forwards connections on a port of its own. `delay_s` and `cut` may change at any time."""

    def __init__(self, target: str) -> None:
        host, port = target.split(":")
        self._target, self._tasks = (host, int(port)), set[asyncio.Task[None]]()
        self.delay_s, self.cut = 0.0, False
        self.address = ""
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = "{}:{}".format(*self._server.sockets[0].getsockname())

    def lose(self) -> None:
        """Every connection ends, and none is made while `cut`."""
        self.cut = True
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.lose()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if not self.cut:
                there_reader, there_writer = await asyncio.open_connection(*self._target)
                try:
                    await self._both(reader, there_writer, there_reader, writer)
                finally:
                    there_writer.close()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _both(
        self,
        here: asyncio.StreamReader,
        to_there: asyncio.StreamWriter,
        there: asyncio.StreamReader,
        to_here: asyncio.StreamWriter,
    ) -> None:
        """Until one of the ends has no more to say."""
        ways = [
            asyncio.ensure_future(self._forward(here, to_there)),
            asyncio.ensure_future(self._forward(there, to_here)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _forward(self, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(1 << 16):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                to.write(data)
                await to.drain()
