"""The router as a Ray Serve replica: membership from Serve, everything else from this room."""

import asyncio
import logging
import random
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle
from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica
from starlette.types import ASGIApp

from raylax.proto.errors import InvalidRequest, WorkerUnavailable
from raylax.proto.frontend import Frontend
from raylax.proto.text.files import TextFiles
from raylax.router.calls.models import Models
from raylax.router.config import RouterConfig
from raylax.router.gc_tuning import settle
from raylax.router.grpc.authentication import AuthenticationInterceptor
from raylax.router.grpc.server import serve_grpc, set_health
from raylax.router.grpc.tls import credentials
from raylax.router.http.app import build_app
from raylax.router.policies import policy_named
from raylax.router.resume.peers import PeerServicer, serve_peers
from raylax.router.workers.description import describe
from raylax.router.workers.registry import Workers

log = logging.getLogger(__name__)
LOOK_EVERY_S = 0.25
PICK_TIMEOUT_S = 2.0
ASK_TIMEOUT_S = 5.0


class Roll:
    """Passed as the argument of a pick, to be filled with those of a model: same process."""

    def __init__(self, model_id: str) -> None:
        self._model_id = model_id
        self.addresses: dict[str, str] = {}

    def fill(self, replicas: list[RunningReplica]) -> None:
        for replica in replicas:
            metadata = replica.replica_metadata or {}
            if metadata.get("model_id") == self._model_id:
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


class Door:
    """A model's way in: its workers as Serve knows them, and the model itself once one is there."""

    def __init__(self, config: RouterConfig, handle: DeploymentHandle, models: Models) -> None:
        self._config, self.handle, self._models = config, handle, models
        self.workers = Workers(
            policy_named(config.policy),
            config.token,
            time.monotonic,
            random.Random(),
            config.limits.worker_silence_s,
            peers=models.peers,
        )
        self._opened = False

    async def look(self) -> None:
        """Once; then the members are those that are there now."""
        roll = Roll(self._config.model_id)
        with suppress(TimeoutError):  # nobody is there: the roll stays empty
            async with asyncio.timeout(PICK_TIMEOUT_S):
                async with self.handle.choose_replica(roll, _reserve=False):
                    pass
        self.workers.set_members(roll.addresses)
        if not self._opened and roll.addresses:
            await self._open(next(iter(roll.addresses.values())))

    async def _open(self, address: str) -> None:
        """The first worker says how long a sequence may be; from then on the model is served."""
        described = await describe(address, self._config.token, ASK_TIMEOUT_S)
        frontend = Frontend.load(
            TextFiles(Path(self._config.checkpoint)),
            self._config.model_name,
            described.max_sequence_length,
            random.Random(),
        )
        self._models.open(frontend, self.workers)
        self._opened = True
        settle()


class RouterReplica:
    """Body of the Router deployment; `raylax.cluster.application.app` decorates it."""

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self,
        configs: list[RouterConfig],
        workers: list[DeploymentHandle],
        metrics: DeploymentHandle,
    ) -> None:
        """A configuration and a deployment of workers for each model."""
        self._metrics, self._models, self._serving = metrics, Models(configs), False
        self._peers, self._models.peers.address = await serve_peers(
            PeerServicer(configs[0].token, self._models.timelines, self._models.kept_answers),
            ray.util.get_node_ip_address(),
        )
        pairs = zip(configs, workers, strict=True)
        self._doors = [Door(config, handle, self._models) for config, handle in pairs]
        first = configs[0]
        try:
            self._grpc, self._health, _ = await serve_grpc(
                self._models,
                f"{first.host}:{first.grpc_port}",
                [AuthenticationInterceptor(self._models.authenticator)],
                credentials(first),
            )
        except RuntimeError as error:
            at = f"port {first.grpc_port} on {first.host}"
            raise OSError(f"{at} cannot be used; choose another by --grpc-port") from error
        self._patience_s = first.limits.request_timeout_s
        self._looking = [asyncio.create_task(self._keep_looking(door)) for door in self._doors]

    async def __serve_build_asgi_app__(self) -> ASGIApp:
        return build_app(self._models, self)

    async def _keep_looking(self, door: Door) -> None:
        while True:
            try:
                await door.look()
            except OSError as error:
                log.warning("a new worker does not answer yet: %s", error)
            except Exception:
                log.exception("looking for workers failed; it is tried again")
            await self._tell_health()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _tell_health(self) -> None:
        serving = bool(self._models.ready_workers)
        if serving != self._serving:
            self._serving = serving
            await set_health(self._health, serving)

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
            call = self._doors[0].handle.debug_call_func_on_all_worker
            try:
                results: list[Any] = await call.remote(name, args)
            except LookupError as error:
                raise InvalidRequest(str(error), param="name") from error
        return results

    async def __del__(self) -> None:
        """Calls by HTTP have ended, Serve has seen to that; those by gRPC end first, too."""
        await self._grpc.stop(grace=self._patience_s)
        for task in self._looking:
            task.cancel()
        await self._peers.stop(grace=None)
        await self._models.close()
        for door in self._doors:
            door.workers.close()
