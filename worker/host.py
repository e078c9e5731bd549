"""One engine as a cluster's worker sees it: threads, step server, state. No Ray here."""

import asyncio
import platform
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import grpc.aio

from raylax.worker.config import EngineConfig, Mode
from raylax.worker.device import detect_device
from raylax.worker.engine import ThreadedEngine
from raylax.worker.errors import EngineStartError
from raylax.worker.rank import START_ERRORS
from raylax.worker.stream import EngineServicer, serve_engine

GRACE_S = 1.0
PACKAGES = ("raylax", "apache-tvm", "ray")


class EngineHost:
    """An engine with its two threads and its step stream."""

    def __init__(self, worker_id: str, name: str, checkpoint: str, device: str) -> None:
        self.worker_id, self.name, self.device = worker_id, name, device
        self.checkpoint = checkpoint
        self.state, self.stage, self.address = "loading", "", ""
        self.engine = ThreadedEngine()
        self._server: grpc.aio.Server | None = None
        self._threads: list[threading.Thread] = []

    async def start(self, config: EngineConfig, mode: Mode, host: str, token: str) -> None:
        """Load and serve; raises EngineStartError with what a user can do about it."""
        loop = asyncio.get_running_loop()
        steps: list[Callable[..., None]] = []
        device = detect_device(self.device)
        self.engine.init_threaded_engine(device, lambda d, load: steps[0](d, load))
        for run in (self.engine.run_background_loop, self.engine.run_background_stream_back_loop):
            thread = threading.Thread(target=run, daemon=True)
            thread.start()
            self._threads.append(thread)
        named = config.complete(model=self.checkpoint, mode=mode)
        try:
            await loop.run_in_executor(None, self.engine.reload, named, self._progress)
        except START_ERRORS as error:
            self.state = "failed"
            raise EngineStartError(str(error)) from error
        servicer = EngineServicer(self.engine, self.worker_id, token, self._vocab())
        steps.append(servicer.on_step)
        self._server, self.address = await serve_engine(servicer, host)
        self.state = "ready"

    def _progress(self, stage: str, fraction: float) -> None:
        self.stage = f"{stage} {fraction:.0%}"

    def _vocab(self) -> int:
        ranks = self.engine.debug_call_func_on_all_worker("raylax.debug.rank")
        return int(ranks[0]["vocab"])

    def check(self) -> None:
        """Raises when this worker can no longer serve."""
        if self.engine.fault is not None:
            raise RuntimeError(self.engine.fault)
        if self._threads and not all(thread.is_alive() for thread in self._threads):
            raise RuntimeError("an engine thread has died")

    def report(self, pid: int, node: str) -> dict[str, Any]:
        """What Metrics keeps of a worker, and `raylax status` shows."""
        load = self.engine.load()
        config = asdict(self.engine.config) if self.state == "ready" else {}
        return {
            "worker_id": self.worker_id,
            "pid": pid,
            "node": node,
            "address": self.address,
            "model": self.name,
            "state": self.state,
            "stage": self.stage,
            "versions": versions(),
            "load": {**asdict(load), "kv_usage": load.kv_usage},
            "engine_config": config,
            "time": time.time(),
        }

    async def stop(self) -> None:
        """Ends every request; calling it again does nothing."""
        if self._server is not None:
            await self._server.stop(GRACE_S)
            self._server = None
        if self._threads:
            self.engine.exit_background_loop()
            threads, self._threads = self._threads, []
            for thread in threads:
                await asyncio.to_thread(thread.join, 5)


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
