"""The worker as a Ray Serve replica: a Worker, its health, and its reports to Metrics."""

import asyncio
import logging
import os
from typing import Any

import ray
from ray import serve
from ray.serve.handle import DeploymentHandle

from raylax.worker.config import EngineConfig
from raylax.worker.ranks.loading import degree_of
from raylax.worker.serving.scaling_stats import process_age_s, scaling_stats
from raylax.worker.serving.shard_actors import ShardActors
from raylax.worker.serving.worker import Worker

log = logging.getLogger(__name__)
REPORT_EVERY_S = 1.0
REPORT_TIMEOUT_S = 5.0
LAST_WORDS_S = 0.2
"""For routers to learn that their requests end, and for Metrics that this worker does."""


class WorkerReplica:
    """Body of the Worker deployment; `raylax.cluster.application.app` decorates it.

    `__init__` returns when the engine serves. Meanwhile, and after, Metrics hears how it stands.
    """

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self,
        name: str,
        model_id: str,
        checkpoint: str,
        engine_config_json: str,
        device: str,
        token: str,
        tracing: bool,
        metrics: DeploymentHandle,
    ) -> None:
        context = ray.get_runtime_context()
        self._node = context.get_node_id()
        worker_id = serve.get_replica_context().replica_id.unique_id
        config = EngineConfig.from_json(engine_config_json)
        spawner = ShardActors(worker_id) if degree_of(config).ranks > 1 else None
        self._worker = Worker(worker_id, name, checkpoint, device, spawner, tracing)
        self._model_id, self._metrics = model_id, metrics
        self._reporter = asyncio.create_task(self._report())
        address = ray.util.get_node_ip_address()
        try:
            await self._worker.start(config, config.mode or "server", address, token)
            self._worker.start_s = process_age_s()
        finally:
            await self._report_once()
        self._ending = asyncio.create_task(self._end_when_drained())

    def record_replica_metadata(self) -> dict[str, str]:
        """What routers read when they look for workers."""
        return {
            "step_addr": self._worker.address,
            "worker_id": self._worker.worker_id,
            "model_id": self._model_id,
        }

    def record_autoscaling_stats(self) -> dict[str, float]:
        """What `raylax.cluster.autoscaling` decides by."""
        return scaling_stats(self._worker.engine.load(), self._worker.start_s)

    async def check_health(self) -> None:
        """Raises when the engine can no longer serve, and ends the process: Serve would ask twice
        more, then say a long goodbye, and only then free the cores that the next one needs."""
        try:
            self._worker.check()
        except RuntimeError:
            self._last_words = asyncio.create_task(self._report_once(LAST_WORDS_S))
            asyncio.get_running_loop().call_later(LAST_WORDS_S, os._exit, 1)
            raise

    async def status(self) -> dict[str, Any]:
        """The report that Metrics gets, as it is now."""
        return self._worker.report(os.getpid(), self._node)

    async def debug_call_func_on_all_worker(self, name: str, args: list[Any]) -> list[Any]:
        """Each rank's result, or the words of the error that it raised."""
        call = self._worker.engine.debug_call_func_on_all_worker
        results = await asyncio.to_thread(call, name, args)
        return [str(one) if isinstance(one, Exception) else one for one in results]

    async def _end_when_drained(self) -> None:
        """End the process once a router has drained the worker. Serve starts another in its place,
        unless it wants one less."""
        await self._worker.drained()
        await self._say_goodbye()
        log.info("drained: this worker ends")
        os._exit(0)

    async def _report(self) -> None:
        while True:
            await self._report_once()
            await asyncio.sleep(REPORT_EVERY_S)

    async def _report_once(self, timeout_s: float = REPORT_TIMEOUT_S) -> None:
        """Metrics may be away for a while; serving does not depend on it."""
        try:
            report = self._worker.report(os.getpid(), self._node)
            await asyncio.wait_for(self._metrics.report.remote(report), timeout_s)
        except Exception as error:
            log.warning("Metrics could not be told how this worker stands: %s", error)

    async def _say_goodbye(self) -> None:
        """Tell Metrics that this worker ends, so that nobody takes its silence for a fault."""
        self._reporter.cancel()
        self._worker.state = "ended"
        await self._report_once(LAST_WORDS_S)

    async def __del__(self) -> None:
        """Serve calls this when it wants the worker to go, and waits a while for it."""
        self._ending.cancel()
        await self._worker.stop()
        await self._say_goodbye()
