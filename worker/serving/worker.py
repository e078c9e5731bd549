"""A worker of a cluster: an engine, its threads, its step server and its state. No Ray here."""

import asyncio
import platform
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from typing import Any

from raylax.worker.config import EngineConfig, Mode
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.engine.threads import start_threads
from raylax.worker.engine.trace import TraceRecorder
from raylax.worker.errors import EngineLost, EngineStartError
from raylax.worker.hardware.devices import detect_device, uuid_of
from raylax.worker.hardware.gpu_watch import NOTHING, GpuWatch
from raylax.worker.hardware.lost_devices import check_answers
from raylax.worker.ranks.loading import START_ERRORS
from raylax.worker.ranks.startup import Spawner
from raylax.worker.serving.step_server import StepServer

DRAIN_S = 3.0
"""For routers to move what is here. Without another worker they cannot, and wait for a new one."""
LINGER_S = 0.3
"""To stay without a request, for the workers that took them over to ask for their pages."""
LOOK_S = 0.02
PACKAGES = ("raylax", "apache-tvm", "ray")


class Worker:
    """Loads one engine, serves it to routers, says how it stands, and drains it at the end."""

    def __init__(
        self,
        worker_id: str,
        name: str,
        checkpoint: str,
        device: str,
        spawner: Spawner | None = None,
        tracing: bool = False,
    ) -> None:
        """`tracing`: whether the engine keeps its last events."""
        self.worker_id, self.name, self.device = worker_id, name, device
        self.checkpoint = checkpoint
        self.state, self.stage, self.address = "loading", "", ""
        self._start_fault: str | None = None  # why it did not start
        self.start_s = 0.0
        """From the begin of its process until it was ready; 0 before."""
        self.engine = ThreadedEngine(spawner=spawner)
        self._trace = TraceRecorder(f"worker {worker_id}") if tracing else None
        self._server: StepServer | None = None
        self._watch: GpuWatch | None = None
        self._threads: list[threading.Thread] = []

    async def start(self, config: EngineConfig, mode: Mode, host: str, token: str) -> None:
        """Load the model and serve it at a free port of `host`, to whoever knows the cluster's
        token.

        Raises EngineStartError with what a user can do about it.
        """
        try:
            await self._start(config.complete(model=self.checkpoint, mode=mode), host, token)
        except BaseException as error:
            self.state, self._start_fault = "failed", str(error) or "it was not to start any more"
            await self.stop()
            if isinstance(error, (*START_ERRORS, EngineLost)):
                raise EngineStartError(str(error)) from error
            raise
        self.state = "ready"

    async def _start(self, config: EngineConfig, host: str, token: str) -> None:
        server = self._server = StepServer(self.engine, self.worker_id, token)
        device = detect_device(self.device)
        await asyncio.to_thread(check_answers, device)
        self.engine.init_threaded_engine(device, server.on_step, self._trace, server.on_pages)
        own = [uuid for uuid in [uuid_of(device)] if uuid]
        await self._look_at(own, config)
        self._threads = start_threads(self.engine)
        await asyncio.to_thread(self.engine.reload, config, self._progress)
        if others := [shard["gpu"] for shard in self.engine.shards if "gpu" in shard]:
            await self._look_at([*own, *others], config)  # all ranks on GPUs are on this machine
        self.address = await server.open(host)

    async def _look_at(self, gpus: Sequence[str], config: EngineConfig) -> None:
        """From now on at these GPUs, by UUID."""
        if self._watch is not None:
            self._watch.stop()
        share, on_lost = config.gpus_per_rank, self.engine.lose_device
        self._watch = await asyncio.to_thread(GpuWatch.of, gpus, share, self._generated, on_lost)

    def _generated(self) -> int:
        return self.engine.load().generated_tokens

    def _progress(self, stage: str, fraction: float) -> None:
        self.stage = f"{stage} {fraction:.0%}"

    def check(self) -> None:
        """Raises RuntimeError when this worker can no longer serve, with the reason."""
        if self.engine.fault is not None:
            raise RuntimeError(self.engine.fault)
        if not all(thread.is_alive() for thread in self._threads):
            raise RuntimeError("an engine thread has died")

    def report(self, pid: int, node: str) -> dict[str, Any]:
        """What Metrics keeps of a worker, and `raylax status` shows."""
        load, fault = self.engine.load(), self.engine.fault or self._start_fault
        config = asdict(self.engine.config) if self.state == "ready" else {}
        return {
            "worker_id": self.worker_id,
            "pid": pid,
            "node": node,
            "address": self.address,
            "model": self.name,
            "cores": self.engine.cores,
            "shards": self.engine.shards,
            "state": "failed" if fault and self.state != "ended" else self.state,
            "stage": self.stage,
            "fault": fault,
            "start_s": self.start_s,
            "versions": versions(),
            "load": {**asdict(load), "kv_usage": load.kv_usage},
            "engine_config": config,
            "engine_metrics": self.engine.metrics(),
            "done": self.engine.done,
            "census": {
                of: {name: one._asdict() for name, one in there.items()}
                for of, there in self.engine.census._asdict().items()
            },
            **(NOTHING if self._watch is None else self._watch.report()),
            "time": time.time(),
        }

    async def drain(self) -> None:
        """Take nothing more; returns when everything has moved elsewhere, or cannot."""
        if (server := self._server) is None or self.engine.fault is not None:
            return
        moves, self.state = not server.idle, "draining"
        server.drain()
        quiet = 0.0
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S if moves else 0):
                while quiet < LINGER_S:
                    await asyncio.sleep(LOOK_S)
                    quiet = quiet + LOOK_S if server.idle else 0.0

    async def drained(self) -> None:
        """Returns some time after a router has asked for this worker's end."""
        assert self._server is not None, "it has not been started"
        await self._server.draining.wait()
        await self.drain()

    async def stop(self) -> None:
        """Ends every request that cannot be moved; calling it again does nothing."""
        if self._watch is not None:
            self._watch.stop()
        if (server := self._server) is not None:
            if self.address:
                await self.drain()
            server.close()
            self._server = None
        if self._threads:
            self.engine.exit_background_loop()
            threads, self._threads = self._threads, []
            for thread in threads:
                await asyncio.to_thread(thread.join, 5)


@cache
def versions() -> dict[str, str]:
    """What this process runs: Python, and the packages in which workers may differ."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
