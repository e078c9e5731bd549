"""The router's replica as it is deployed: with its models' texts on the machine that it runs on."""

import asyncio

from ray.serve.handle import DeploymentHandle

from raylax.cluster.application.texts import with_texts_here
from raylax.router.config import RouterConfig
from raylax.router.replica import RouterReplica


class Router(RouterReplica):
    """Body of the Router deployment; `raylax.cluster.application.app` decorates it."""

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self,
        configs: list[RouterConfig],
        checkpoints: list[str],
        workers: list[DeploymentHandle],
        metrics: DeploymentHandle,
    ) -> None:
        """`checkpoints`: of the models, in order. Raises CheckpointError, ForkServerLost."""
        here = await asyncio.to_thread(with_texts_here, configs, checkpoints)
        await super().__init__(here, workers, metrics)
