"""Real workers and a real router in one process, on free ports."""

import asyncio
import random
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import grpc.aio
import openai
import uvicorn

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.model import StepOutput
from raylax.proto.frontend import Frontend
from raylax.proto.text.files import TextFiles
from raylax.router.calls.models import Models
from raylax.router.calls.service import Service
from raylax.router.config import RouterConfig, RouterLimits
from raylax.router.grpc.authentication import AuthenticationInterceptor
from raylax.router.grpc.server import serve_grpc
from raylax.router.grpc.tls import credentials
from raylax.router.http.app import build_app
from raylax.router.http.dashboard.numbers import own_numbers
from raylax.router.http.endpoints.cluster import Cluster, NoCluster
from raylax.router.policies import policy_named
from raylax.router.resume.peer_server import PeerServicer, serve_peers
from raylax.router.workers.description import describe
from raylax.router.workers.registry import Workers
from raylax.worker.config import EngineConfig
from raylax.worker.scheduling.step_plan import StepPlan
from raylax.worker.serving.worker import Worker

TOKEN = "the cluster's secret"
PATIENCE_S = 60.0
ENGINE = EngineConfig(max_num_sequence=8)


async def until(condition: Callable[[], object]) -> None:
    """Polls, with a deadline."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  # it changes on another thread
            await asyncio.sleep(0.005)


class SteppedWorker(Worker):
    """A worker whose steps can be held, so that a test decides when tokens come."""

    _steps: threading.Semaphore | None = None
    """Steps that may still run; None: all."""

    def hold(self, steps: int) -> None:
        """Run this many steps more, then wait for `let_go`."""
        self._steps = threading.Semaphore(steps)

    def let_go(self) -> None:
        steps, self._steps = self._steps, None
        if steps is not None:
            steps.release()

    def install(self) -> None:
        batch = self.engine._slot.loaded().batch
        run = batch.run

        def held(plan: StepPlan) -> StepOutput:
            if (steps := self._steps) is not None:
                steps.acquire()
            return run(plan)

        batch.run = held

    @property
    def running(self) -> int:
        load = self.engine.load()
        return load.running + load.waiting

    async def die(self) -> None:
        """As a killed process looks from outside: its connections are gone."""
        assert self._server is not None
        self._server.abort()


@asynccontextmanager
async def running_worker(
    checkpoint: Path, name: str, config: EngineConfig, tracing: bool = False
) -> AsyncIterator[SteppedWorker]:
    """A worker on a port of its own, as a cluster would have it."""
    worker = SteppedWorker(name, "tiny", str(checkpoint), "cpu", tracing=tracing)
    tiny = replace(config, max_single_sequence_length=256, threads=1)
    await worker.start(tiny, "server", "127.0.0.1", TOKEN)
    worker.install()
    try:
        yield worker
    finally:
        worker.let_go()
        await worker.stop()


@dataclass
class Rig:
    """Workers, their router, and where it listens for HTTP and gRPC."""

    workers: list[SteppedWorker]
    router: Workers
    models: Models
    service: Service
    url: str
    grpc_address: str


@asynccontextmanager
async def running_router(
    checkpoint: Path,
    count: int = 1,
    engine: EngineConfig = ENGINE,
    tracing: bool = False,
    **config: Any,
) -> AsyncIterator[Rig]:
    """`count` workers behind one router."""
    async with AsyncExitStack() as stack:
        workers = [
            await stack.enter_async_context(running_worker(checkpoint, f"w{i}", engine, tracing))
            for i in range(count)
        ]
        limits = {name: config.pop(name) for name in RouterLimits.model_fields if name in config}
        settings = RouterConfig(
            "tiny",
            str(open_checkpoint(checkpoint).text),
            TOKEN,
            pooling=engine.pooling,
            limits=RouterLimits.model_construct(**limits),  # also what no configuration may say
            **config,
        )
        yield await stack.enter_async_context(a_router(settings, workers))


@asynccontextmanager
async def a_router(
    settings: RouterConfig, workers: list[SteppedWorker], models: Models | None = None
) -> AsyncIterator[Rig]:
    """In front of workers that others may use as well. `models`: of which this is one."""
    async with AsyncExitStack() as stack:
        models = models or Models([settings])
        peers, models.peers.address = await serve_peers(
            PeerServicer(
                TOKEN,
                models.state.timelines,
                models.state.kept_answers,
                models.own_measures,
                models.own_trace,
                partial(own_numbers, models),
                models.state.kept_responses,
            ),
            "127.0.0.1",
        )
        stack.push_async_callback(peers.stop, 0)
        router = Workers(
            policy_named(settings.policy),
            TOKEN,
            time.monotonic,
            random.Random(1),
            settings.limits.worker_silence_s,
            peers=models.peers,
        )
        stack.callback(router.close)
        router.set_members({w.worker_id: w.address for w in workers})
        await until(lambda: len(router.ready) == len(workers))
        described = await describe(workers[0].address, TOKEN, 5)
        frontend = Frontend.load(
            TextFiles(Path(settings.text_files)),
            "tiny",
            described.max_sequence_length,
            random.Random(1),
            pooling=settings.pooling,
        )
        service = models.open(frontend, router)
        server, health, port = await serve_grpc(
            models,
            "127.0.0.1:0",
            [AuthenticationInterceptor(models.authenticator)],
            credentials(settings),
        )
        stack.push_async_callback(server.stop, 0)
        health.set(serving=True)
        stack.push_async_callback(models.close)
        url = await stack.enter_async_context(running_http(models))
        yield Rig(workers, router, models, service, url, f"127.0.0.1:{port}")


@asynccontextmanager
async def running_http(models: Models, cluster: Cluster | None = None) -> AsyncIterator[str]:
    """A router's HTTP interface on a free port."""
    app = build_app(models, cluster or NoCluster())
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    listener = socket.create_server(("127.0.0.1", 0))
    # Small, so that a client that does not read is felt soon; accepted sockets inherit it.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 << 10)
    serving = asyncio.create_task(server.serve([listener]))
    await until(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


def openai_client_of(rig: Rig) -> openai.AsyncOpenAI:
    """It says what it is told: nothing is tried again."""
    return openai.AsyncOpenAI(
        base_url=f"{rig.url}/v1", api_key="none", max_retries=0, timeout=PATIENCE_S
    )


@asynccontextmanager
async def channel(address: str) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(address) as made:
        yield made
