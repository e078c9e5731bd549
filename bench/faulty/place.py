"""A place for one worker at a time: whatever happens to it, another one comes."""

import asyncio
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from faulty.proxy import Proxy

START_S = 100.0
"""Of a worker. The first compiles the model; were it killed before, the next would begin again."""
STOPPED_S, SLOW_S, CUT_S = 4.0, 3.0, 2.0
DELAY_S = 0.1
"""Of each piece that a slow network carries."""


class Place:
    """Used on one event loop."""

    def __init__(self, number: int, checkpoint: Path, token: str) -> None:
        self.number, self._checkpoint, self._token = number, checkpoint, token
        self._generation = 0
        self._process: asyncio.subprocess.Process | None = None
        self._proxy: Proxy | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.name = ""
        """Of the present worker; empty while there is none."""
        self.starts_s: list[float] = []
        """How long each start took."""

    @property
    def address(self) -> str:
        return self._proxy.address if self._proxy is not None else ""

    async def keep(self) -> None:
        """Start a worker, and another one whenever it has ended. Runs until it is cancelled."""
        while True:
            begun = time.monotonic()
            with suppress(TimeoutError):
                await self._start()
            assert self._process is not None
            if self.name:
                self.starts_s.append(time.monotonic() - begun)
                await self._process.wait()
            self._signal(signal.SIGKILL)
            await self._clear()

    async def _start(self) -> None:
        self._generation += 1
        name = f"w{self.number}.{self._generation}"
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "faulty.worker", name, str(self._checkpoint),
            cwd=Path(__file__).parents[1], stdin=-1, stdout=-1, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{self._token}\n".encode())
        async with asyncio.timeout(START_S):
            address = (await self._process.stdout.readline()).decode().strip()
        if address:
            self._proxy = Proxy(address)
            await self._proxy.start()
            self.name = name

    async def _clear(self) -> None:
        self.name = ""
        if self._proxy is not None:
            await self._proxy.close()
            self._proxy = None

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def stop(self, rng: random.Random) -> None:
        """Hangs for some seconds; then it goes on, or is killed."""
        self._signal(signal.SIGSTOP)
        self._later(STOPPED_S, rng.choice([signal.SIGCONT, signal.SIGKILL]))

    def slow(self) -> None:
        if (proxy := self._proxy) is not None:
            proxy.delay_s = DELAY_S
            self._after(SLOW_S, lambda: setattr(proxy, "delay_s", 0.0))

    def cut(self) -> None:
        if (proxy := self._proxy) is not None:
            proxy.lose()
            self._after(CUT_S, lambda: setattr(proxy, "cut", False))

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._signal(signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()
        await self._clear()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _later(self, seconds: float, number: signal.Signals) -> None:
        process = self._process
        self._after(seconds, lambda: self._signal(number) if self._process is process else None)

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)
            act()

        task = asyncio.ensure_future(wait())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
