"""The ranks of an engine beyond the first as Ray actors, in the replica's placement group.

Ray places them and ends them; what they are told goes by sockets of their own.
"""

from typing import Any

import ray
from ray.util.placement_group import get_current_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from raylax.worker.comm.base import Gatherer
from raylax.worker.comm.ray_backend import join_group
from raylax.worker.ranks.shard import Invitation, Shard

JOIN_S = 60.0
"""For all ranks to come to their collective group."""


class ShardActor:
    """Body of the actor in which a rank lives that is not the leader."""

    def run(self, invitation: Invitation) -> None:
        """Join the engine and run its plans; returns when the engine is over."""
        Shard(invitation, ray.util.get_node_ip_address(), join_debug_group).run()


def join_debug_group(name: str, rank: int, world: int) -> Gatherer:
    """A rank's end of the group of Ray collectives that debug calls travel by."""
    return join_group(world, rank, "RAYLAX_TCP", name, JOIN_S)


def all_of_bundle(index: int) -> dict[str, Any]:
    """Options of an actor that has a bundle of this replica's placement group to itself."""
    group = get_current_placement_group()
    place = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=index)
    has = group.bundle_specs[index]
    return {
        "num_cpus": has.get("CPU", 0),
        "num_gpus": has.get("GPU", 0),
        "scheduling_strategy": place,
    }


class ShardProcess:
    """A shard's actor as its leader sees it: a `Process`."""

    def __init__(self, worker: str, bundle: int, invitation: Invitation) -> None:
        self._actor = ray.remote(ShardActor).options(**all_of_bundle(bundle)).remote()
        name = f"ShardActor:{worker}:{invitation.rank}"
        self._running = self._actor.run.options(name=name).remote(invitation)

    @property
    def alive(self) -> bool:
        ended, _ = ray.wait([self._running], timeout=0)
        return not ended

    def kill(self) -> None:
        ray.kill(self._actor)


class ShardActors:
    """A `Spawner` that starts rank n as an actor in bundle n of the replica's placement group.

    What an actor runs has a name, which Ray shows as the command line of its process: people, logs
    and supervision know it by that (`raylax.cluster.supervision.roles`).
    """

    def __init__(self, worker: str) -> None:
        """`worker`: the id of who leads."""
        self._worker = worker
        self.host = ray.util.get_node_ip_address()

    def check_gpus(self, device: str, world: int) -> None:
        """Each bundle has one: Ray has found them before it made the placement group."""

    def spawn(self, invitation: Invitation) -> ShardProcess:
        return ShardProcess(self._worker, invitation.rank, invitation)

    def join_debug_group(self, name: str, world: int) -> Gatherer:
        return join_debug_group(name, 0, world)
