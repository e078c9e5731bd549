"""Which workers there are, by what Serve says, and when a model can be asked.

Serve hands a pick of a replica to a class of ours, which sees all replicas then. That is all that
it is used for: requests go their own way.
"""

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ray.exceptions import RayError
from ray.experimental.internal_kv import _internal_kv_get
from ray.serve.handle import DeploymentHandle
from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica

from raylax.proto.frontend import Frontend
from raylax.proto.text.files import TextFiles
from raylax.proto.wire.outlook import NAMESPACE, decode, key_of
from raylax.router.calls.models import Models
from raylax.router.config import RouterConfig
from raylax.router.gc_tuning import freeze_heap
from raylax.router.policies import policy_named
from raylax.router.workers.description import describe
from raylax.router.workers.registry import Workers

PICK_TIMEOUT_S = 2.0
ASK_TIMEOUT_S = 5.0
ASK_EVERY_S = 1.0
"""What is to be expected of the workers."""


class WorkerRoll:
    """A list to be filled with the workers of one model: it is passed as the argument of a pick, in
    the same process."""

    def __init__(self, model_id: str) -> None:
        self._model_id = model_id
        self.addresses: dict[str, str] = {}

    def fill(self, replicas: list[RunningReplica]) -> None:
        """Note address and name of each worker of the model among these replicas."""
        for replica in replicas:
            metadata = replica.replica_metadata or {}
            if metadata.get("model_id") == self._model_id:
                self.addresses[metadata["worker_id"]] = metadata["step_addr"]


class Membership(RequestRouter):  # type: ignore[misc]  # Ray is untyped here
    """Shows the workers as Serve knows them. Which one gets a request is decided by a policy of
    ours."""

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


def outlook_of(model: str) -> bytes | None:
    """What stands in Ray's store."""
    value: bytes | None = _internal_kv_get(key_of(model), namespace=NAMESPACE)
    return value


class ModelWatch:
    """Watches the workers of one model as Serve knows them; opens the model once one is there."""

    def __init__(self, config: RouterConfig, handle: DeploymentHandle, models: Models) -> None:
        """Raises OSError, ValueError or KeyError for files of text that say too little: a router
        that could not serve the model does not start."""
        self._config, self.handle, self._models = config, handle, models
        files, unknown = TextFiles(Path(config.text_files)), 0
        self._frontend = Frontend.load(files, config.model_name, unknown)
        self.workers = Workers(
            policy_named(config.policy),
            config.token,
            time.monotonic,
            random.Random(),
            config.limits.worker_silence_s,
            peers=models.peers,
        )
        self._opened = False
        self._asked_at = 0.0

    async def look(self) -> None:
        """Look once: members are then those that are there now. Raises OSError when the first one
        does not answer yet."""
        roll = WorkerRoll(self._config.model_id)
        with suppress(TimeoutError):  # nobody is there: the roll stays empty
            async with asyncio.timeout(PICK_TIMEOUT_S):
                async with self.handle.choose_replica(roll, _reserve=False):
                    pass
        self.workers.set_members(roll.addresses)
        if time.monotonic() - self._asked_at >= ASK_EVERY_S:
            self._asked_at = time.monotonic()
            await self._ask_for_outlook()
        if not self._opened and roll.addresses:
            await self._open(next(iter(roll.addresses.values())))

    async def _ask_for_outlook(self) -> None:
        """What the autoscaler says of the workers; while its store is away it is what it was."""
        name = self._config.model_name
        with suppress(RayError, OSError, RuntimeError):
            outlook = decode(await asyncio.to_thread(outlook_of, name))
            self._models.expect(name, outlook, time.time())

    async def _open(self, address: str) -> None:
        """The first worker says how long a sequence may be; from then on the model is served."""
        described = await describe(address, self._config.token, ASK_TIMEOUT_S)
        longest = described.max_sequence_length
        self._models.open(replace(self._frontend, max_sequence_length=longest), self.workers)
        self._opened = True
        freeze_heap()
