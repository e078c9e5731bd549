"""The router as a Ray Serve replica: membership from Serve, everything else from this room."""

import asyncio
import logging
import random
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc.aio
from fastapi import FastAPI
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle
from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica

from raylax.proto.errors import InvalidRequest, WorkerUnavailable
from raylax.proto.frontend import Frontend
from raylax.router.config import RouterConfig
from raylax.router.describe import describe
from raylax.router.http.app import build_app
from raylax.router.policies import policy_named
from raylax.router.service import Service
from raylax.router.servicer import RaylaxServicer, serve_grpc, set_health
from raylax.router.workers import Workers

log = logging.getLogger(__name__)
LOOK_EVERY_S = 0.25
PICK_TIMEOUT_S = 2.0
ASK_TIMEOUT_S = 5.0


class Roll:
    """Passed as the argument of a pick, to be filled with every candidate: same process."""

    def __init__(self) -> None:
        self.addresses: dict[str, str] = {}

    def fill(self, replicas: list[RunningReplica]) -> None:
        for replica in replicas:
            metadata = replica.replica_metadata or {}
            if "step_addr" in metadata:
                self.addresses[metadata["worker_id"]] = metadata["step_addr"]


class Membership(RequestRouter):  # type: ignore[misc]  # Ray is untyped here
    """Serve's view of the workers. Which one gets a request is decided by our own policy."""

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        """Must not raise: Serve would let the caller wait for ever.

        Ray ships this class by value, with a copy of what its module names: the roll is known by
        what it can do, since its type is another one here.
        """
        args = pending_request.args if pending_request is not None else ()
        if args and hasattr(args[0], "fill"):
            args[0].fill(candidate_replicas)
        return [[replica] for replica in candidate_replicas]


class RouterReplica:
    """Body of the Router deployment; `raylax.cluster.app` decorates it."""

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self, config: RouterConfig, workers: DeploymentHandle, metrics: DeploymentHandle
    ) -> None:
        self._config, self._handle, self._metrics = config, workers, metrics
        self._workers = Workers(policy_named(config.policy), config.token, time.monotonic)
        self._service: Service | None = None
        servicer = RaylaxServicer(lambda: self._service)
        address = f"{config.host}:{config.grpc_port}"
        self._grpc, self._health, _ = await serve_grpc(servicer, address)
        self._looking = asyncio.create_task(self._look_for_workers())

    async def __serve_build_asgi_app__(self) -> FastAPI:
        return build_app(self._config, lambda: self._service, self)

    async def _look_for_workers(self) -> None:
        serving = False
        while True:
            try:
                await self._look()
            except grpc.aio.AioRpcError as error:
                log.warning("a new worker does not answer yet: %s", error.details())
            except Exception:
                log.exception("looking for workers failed; it is tried again")
            if serving != bool(self._service and self._workers.ready):
                serving = not serving
                await set_health(self._health, serving)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self) -> None:
        roll = Roll()
        with suppress(TimeoutError):  # nobody is there: the roll stays empty
            async with asyncio.timeout(PICK_TIMEOUT_S):
                async with self._handle.choose_replica(roll, _reserve=False):
                    pass
        self._workers.set_members(roll.addresses)
        if self._service is None and roll.addresses:
            await self._open(next(iter(roll.addresses.values())))

    async def _open(self, address: str) -> None:
        """The first worker says how long a sequence may be; from then on this router serves."""
        described = await describe(address, self._config.token, ASK_TIMEOUT_S)
        frontend = Frontend.load(
            Path(self._config.checkpoint),
            self._config.model_name,
            described.max_sequence_length,
            random.Random(),
        )
        self._service = Service(self._config, frontend, self._workers)

    # What the HTTP application asks of the cluster

    async def exposition(self) -> bytes:
        text: bytes = await self._of_metrics("exposition")
        return text

    async def cluster(self) -> dict[str, Any]:
        known: dict[str, Any] = await self._of_metrics("cluster")
        return known

    async def _of_metrics(self, method: str) -> Any:
        """Serve replaces a replica that died; meanwhile requests go on without its word."""
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                return await getattr(self._metrics, method).remote()
        except (TimeoutError, RayError, RayServeException) as error:
            log.warning("Metrics does not answer: %s", error)
            raise WorkerUnavailable("Metrics does not answer", retry_after_s=2.0) from error

    async def debug_call(self, name: str, args: list[Any]) -> list[Any]:
        async with asyncio.timeout(60):
            call = self._handle.debug_call_func_on_all_worker
            try:
                results: list[Any] = await call.remote(name, args)
            except LookupError as error:
                raise InvalidRequest(str(error), param="name") from error
        return results

    async def __del__(self) -> None:
        self._looking.cancel()
        await self._grpc.stop(grace=1.0)
        await self._workers.close()
