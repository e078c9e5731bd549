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
from ray.experimental.internal_kv import _internal_kv_get, _internal_kv_put
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
LONGEST = "longest/"
"""Where Ray's store has how many tokens a sequence may have, by model id."""
AWAY = (RayError, OSError, RuntimeError)
"""What comes of Ray's store while it is away."""


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


def kept_at(key: str) -> bytes | None:
    """What stands in Ray's store."""
    value: bytes | None = _internal_kv_get(key, namespace=NAMESPACE)
    return value


def keep(key: str, value: bytes) -> None:
    """Write it there."""
    _internal_kv_put(key, value, overwrite=True, namespace=NAMESPACE)


class ModelWatch:
    """Watches the workers of one model as Serve knows them; opens the model once one is there."""

    def __init__(self, config: RouterConfig, handle: DeploymentHandle, models: Models) -> None:
        """Raises OSError, ValueError or KeyError for files of text that say too little: a router
        that could not serve the model does not start."""
        self._config, self.handle, self._models = config, handle, models
        files, unknown = TextFiles(Path(config.text_files)), 0
        self._frontend = Frontend.load(
            files,
            config.model_name,
            unknown,
            tool_parser=config.tool_parser,
            reasoning_parser=config.reasoning_parser,
            reranker=config.reranker,
            pooling=config.pooling,
        )
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
        if not self._opened and (longest := await self._longest(roll)) is not None:
            self._open(longest)

    async def _ask_for_outlook(self) -> None:
        """What the autoscaler says of the workers; while its store is away it is what it was."""
        name = self._config.model_name
        with suppress(*AWAY):
            outlook = decode(await asyncio.to_thread(kept_at, key_of(name)))
            self._models.expect(name, outlook, time.time())

    async def _longest(self, roll: WorkerRoll) -> int | None:
        """How many tokens a sequence may have, as a worker says; None: nobody has said it yet. It
        is kept, for a router that comes while there is no worker."""
        key = LONGEST + self._config.model_id
        if roll.addresses:
            address = next(iter(roll.addresses.values()))
            described = await describe(address, self._config.token, ASK_TIMEOUT_S)
            with suppress(*AWAY):
                await asyncio.to_thread(keep, key, str(described.max_sequence_length).encode())
            return described.max_sequence_length
        with suppress(*AWAY):
            if (kept := await asyncio.to_thread(kept_at, key)) is not None:
                return int(kept)
        return None

    def _open(self, longest: int) -> None:
        """From now on the model is served."""
        self._models.open(replace(self._frontend, max_sequence_length=longest), self.workers)
        self._opened = True
        freeze_heap()
