"""The worker as a Ray Serve replica: an EngineHost, its health, and its word to Metrics."""

import asyncio
import logging
import os
from typing import Any

import ray
from ray import serve
from ray.serve.handle import DeploymentHandle

from raylax.worker.config import EngineConfig
from raylax.worker.host import EngineHost

log = logging.getLogger(__name__)
REPORT_EVERY_S = 1.0
REPORT_TIMEOUT_S = 5.0


class WorkerReplica:
    """Body of the Worker deployment; `raylax.cluster.app` decorates it.

    `__init__` returns when the engine serves. Meanwhile, and after, Metrics hears how it stands.
    """

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self,
        name: str,
        checkpoint: str,
        engine_config_json: str,
        device: str,
        token: str,
        metrics: DeploymentHandle,
    ) -> None:
        context = ray.get_runtime_context()
        self._node = context.get_node_id()
        worker_id = serve.get_replica_context().replica_id.unique_id
        config = EngineConfig.from_json(engine_config_json)
        self._host = EngineHost(worker_id, name, checkpoint, device)
        self._metrics = metrics
        self._reporter = asyncio.create_task(self._report())
        address = ray.util.get_node_ip_address()
        try:
            await self._host.start(config, config.mode or "server", address, token)
        finally:
            await self._report_once()

    def record_replica_metadata(self) -> dict[str, str]:
        """What routers read when they look for workers."""
        return {"step_addr": self._host.address, "worker_id": self._host.worker_id}

    def record_autoscaling_stats(self) -> dict[str, float]:
        """What `raylax.cluster.autoscale` decides by."""
        load = self._host.engine.load()
        return {
            "kv_usage": load.kv_usage,
            "waiting": float(load.waiting),
            "running": float(load.running),
        }

    async def check_health(self) -> None:
        """Raises when the engine can no longer serve: Serve then replaces this replica."""
        self._host.check()

    async def status(self) -> dict[str, Any]:
        return self._host.report(os.getpid(), self._node)

    async def debug_call_func_on_all_worker(self, name: str, args: list[Any]) -> list[Any]:
        """Each rank's result, or the words of the error that it raised."""
        call = self._host.engine.debug_call_func_on_all_worker
        results = await asyncio.to_thread(call, name, args)
        return [str(one) if isinstance(one, Exception) else one for one in results]

    async def _report(self) -> None:
        while True:
            await self._report_once()
            await asyncio.sleep(REPORT_EVERY_S)

    async def _report_once(self) -> None:
        """Metrics may be away for a while; serving does not depend on it."""
        try:
            report = self._host.report(os.getpid(), self._node)
            await asyncio.wait_for(self._metrics.report.remote(report), REPORT_TIMEOUT_S)
        except Exception as error:
            log.warning("Metrics could not be told how this worker stands: %s", error)

    async def __del__(self) -> None:
        self._reporter.cancel()
        await self._host.stop()
