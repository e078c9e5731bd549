"""The router as a Ray Serve replica: Serve gives it members and a port, this part all else."""

import asyncio
import logging
import os
from functools import partial
from typing import Any, Literal

import ray
from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle
from starlette.types import ASGIApp

from raylax.proto.addresses import address_of
from raylax.proto.errors import InvalidRequest, WorkerUnavailable
from raylax.router.access.keys import from_json
from raylax.router.batches.runner import BatchRunner
from raylax.router.calls.models import Models
from raylax.router.config import RouterConfig
from raylax.router.discovery import ASK_TIMEOUT_S, ModelWatch
from raylax.router.grpc.authentication import AuthenticationInterceptor
from raylax.router.grpc.server import serve_grpc
from raylax.router.grpc.tls import credentials
from raylax.router.http.app import build_app
from raylax.router.http.dashboard.numbers import own_numbers
from raylax.router.observe.measures import RouterMeasures, RouterReport
from raylax.router.resume.peer_server import PeerServicer, serve_peers

log = logging.getLogger(__name__)
LOOK_EVERY_S = 0.25
TELL_EVERY_S = 1.0
MOST_LONGEST = 32
"""Requests of a model that Metrics is told of."""
LAST_WORDS_S = 0.2
"""For Metrics to learn that this router ends."""


class RouterReplica:
    """What the Router deployment does; its body is `raylax.cluster.application.router`'s."""

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self,
        configs: list[RouterConfig],
        workers: list[DeploymentHandle],
        metrics: DeploymentHandle,
    ) -> None:
        """A configuration and a deployment of workers for each model. Raises ForkServerLost
        where no prompts can be made of them."""
        self._metrics, self._models, self._serving = metrics, Models(configs), False
        state = self._models.state
        await state.prompts.start()
        self._peers, self._models.peers.address = await serve_peers(
            PeerServicer(
                configs[0].token,
                state.timelines,
                state.kept_answers,
                self._models.own_measures,
                self._models.own_trace,
                partial(own_numbers, self._models),
                state.kept_responses,
            ),
            ray.util.get_node_ip_address(),
        )
        pairs = zip(configs, workers, strict=True)
        self._watches = [ModelWatch(config, handle, self._models) for config, handle in pairs]
        first = configs[0]
        try:
            self._grpc, self._health, _ = await serve_grpc(
                self._models,
                address_of(first.host, first.grpc_port),
                [AuthenticationInterceptor(self._models.authenticator)],
                credentials(first),
            )
        except RuntimeError as error:
            at = f"port {first.grpc_port} on {first.host}"
            raise OSError(f"{at} cannot be used; choose another by --grpc-port") from error
        self._batches = BatchRunner(self._models)
        self._patience_s = first.limits.request_timeout_s
        self._node = ray.get_runtime_context().get_node_id()
        self._telling = asyncio.create_task(self._keep_telling())
        self._looking = [asyncio.create_task(self._keep_looking(watch)) for watch in self._watches]

    async def reconfigure(self, told: dict[str, Any]) -> None:
        """Take other `keys`: Serve calls it at the start, and when they change. Nobody waits for a
        router to be replaced, which takes as long as its longest call."""
        self._models.change_keys(from_json(told["keys"]))

    def record_autoscaling_stats(self) -> dict[str, float]:
        """What `raylax.cluster.autoscaling` decides by, of all models."""
        return self._models.scaling_stats()

    async def __serve_build_asgi_app__(self) -> ASGIApp:
        return build_app(self._models, self)

    async def _keep_looking(self, watch: ModelWatch) -> None:
        while True:
            try:
                await watch.look()
            except OSError as error:
                log.warning("a new worker does not answer yet: %s", error)
            except Exception:
                log.exception("looking for workers failed; it is tried again")
            self._tell_health()
            await asyncio.sleep(LOOK_EVERY_S)

    def _tell_health(self) -> None:
        serving = self._models.serves
        if serving != self._serving:
            self._serving = serving
            self._health.set(serving)

    # What Metrics is told

    async def _keep_telling(self) -> None:
        while True:
            await self._tell("ready", ASK_TIMEOUT_S)
            await asyncio.sleep(TELL_EVERY_S)

    async def _tell(self, state: Literal["ready", "ended"], timeout_s: float) -> None:
        """Metrics may be away for a while; nothing depends on it."""
        try:
            report = RouterReport(
                router=self._models.peers.address,
                pid=os.getpid(),
                node=self._node,
                state=state,
                workers={one.name: one.workers.ready for one in self._models.services},
                held=self._models.held,
                longest=[r for one in self._models.services for r in one.longest(MOST_LONGEST)],
                acts=self._models.state.acts.last,
                measures=self._models.own_measures(),
            )
            async with asyncio.timeout(timeout_s):
                await self._metrics.report_router.remote(report.model_dump_json())
        except Exception as error:
            log.warning("Metrics could not be told what this router measures: %s", error)

    # What the HTTP application asks of the cluster

    async def exposition(self, openmetrics: bool) -> bytes:
        text: bytes = await self._of_metrics("exposition", openmetrics)
        return text

    async def measures_besides(self, routers: list[str]) -> RouterMeasures | None:
        found: RouterMeasures | None = await self._of_metrics("measures_besides", routers)
        return found

    async def cluster(self) -> str:
        text: str = await self._of_metrics("cluster")
        return text

    async def history(self, asked: dict[str, str]) -> str:
        text: str = await self._of_metrics("history", asked)
        return text

    async def events(self, after: int) -> str:
        text: str = await self._of_metrics("events", after)
        return text

    async def scaling(self) -> dict[str, list[dict[str, Any]]]:
        kept: dict[str, list[dict[str, Any]]] = await self._of_metrics("scaling")
        return kept

    async def _of_metrics(self, method: str, *args: Any) -> Any:
        """Ask Metrics. Serve replaces a replica that died; meanwhile requests go on without it, and
        what needs it is WorkerUnavailable. Raises InvalidRequest where Metrics does."""
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                return await getattr(self._metrics, method).remote(*args)
        except (TimeoutError, RayError, RayServeException) as error:
            if isinstance(error, RayTaskError) and isinstance(error.cause, InvalidRequest):
                raise error.cause from None
            log.warning("Metrics does not answer: %s", error)
            raise WorkerUnavailable("Metrics does not answer", retry_after_s=2.0) from error

    async def debug_call(self, name: str, args: list[Any]) -> list[Any]:
        async with asyncio.timeout(60):
            call = self._watches[0].handle.debug_call_func_on_all_worker
            try:
                results: list[Any] = await call.remote(name, args)
            except LookupError as error:
                raise InvalidRequest(str(error), param="name") from error
        return results

    async def __del__(self) -> None:
        """End the replica. Calls by HTTP have ended, Serve has seen to that; those by gRPC end
        first, too."""
        await self._batches.close()  # another router goes on with them at once
        await self._grpc.stop(grace=self._patience_s)
        for task in (*self._looking, self._telling):
            task.cancel()
        await self._tell("ended", LAST_WORDS_S)
        await self._peers.stop(grace=None)
        await self._models.close()
        for watch in self._watches:
            watch.workers.close()
