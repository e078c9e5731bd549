"""A Ray of its own with three actors that are ranks: what came of all they did, as a pickle.

    python -c "from tests.support.worker_ray_ranks import main; main()" RESULTS

A process of its own, because Ray reads its environment when it is imported.
"""

import logging
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray.experimental import internal_kv
from ray.util import collective
from ray.util.collective.types import ReduceOp

from raylax.cluster.ray_patches.fewer_processes import OBJECT_STORE_BYTES, start_fewer_processes
from raylax.worker.comm.base import Array
from raylax.worker.comm.objects import allgather_object, broadcast_object
from raylax.worker.comm.ray_backend import NAMESPACE, join_group, register
from tests.support.comm_work import brought

BACKENDS = ["RAYLAX_SHM", "RAYLAX_TCP"]
WORLDS = [2, 3]
SIZE = 1000
TIMEOUT_S = 30.0
SHORT_S = 0.5
Results = dict[str, Any]


class Rank:
    """An actor. Each method of a group is called on all of its ranks."""

    def join(self, world: int, rank: int, backend: str, group: str, timeout_s: float) -> str:
        """What went wrong."""
        register()
        try:
            self.group = join_group(world, rank, backend, group, timeout_s)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return ""

    def seat(self) -> tuple[int, int]:
        return self.group.rank, self.group.world

    def allreduce(self, how: ReduceOp) -> Array:
        array = self.ours()
        collective.allreduce(array, self.group.name, how)
        return array

    def reduce(self) -> Array:
        """To the last rank."""
        array = self.ours()
        collective.reduce(array, self.group.world - 1, self.group.name)
        return array

    def reducescatter(self) -> Array:
        result, array = np.empty(SIZE, np.float32), self.ours()
        parts = [array * factor for factor in range(self.group.world)]
        collective.reducescatter(result, parts, self.group.name)
        return result

    def allgather(self) -> list[Array]:
        parts = [np.empty(SIZE, np.float32) for _ in range(self.group.world)]
        collective.allgather(parts, self.ours(), self.group.name)
        return parts

    def broadcast(self) -> Array:
        """From the last rank."""
        array = self.ours()
        collective.broadcast(array, self.group.world - 1, self.group.name)
        return array

    def pass_on(self) -> Array:
        """From rank 0 to the last, and no further."""
        array = self.ours()
        if self.group.rank > 0:
            collective.recv(array, self.group.rank - 1, self.group.name)
        if self.group.rank < self.group.world - 1:
            collective.send(array, self.group.rank + 1, self.group.name)
        collective.barrier(self.group.name)
        return array

    def objects(self) -> tuple[Any, list[Any]]:
        """As a debug call: a name and arguments go out, each rank's answer comes back."""
        call = broadcast_object(self.group, ("raylax.debug.rank", [1]), 0)
        return call, allgather_object(self.group, {"rank": self.group.rank, "pid": os.getpid()})

    def wait(self) -> str:
        """In a barrier to which not all will come."""
        try:
            collective.barrier(self.group.name)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return ""

    def abort(self, reason: str) -> None:
        self.group.abort(reason)

    def close(self) -> bool:
        """Whether Ray still knows the group."""
        self.group.close()
        return bool(collective.is_group_initialized(self.group.name))

    def ours(self) -> Array:
        return brought(self.group.rank, SIZE, "float32")


def all_of(actors: list[Any], method: str, *arguments: Any) -> list[Any]:
    """What every actor answers."""
    answers = [getattr(actor, method).remote(*arguments) for actor in actors]
    found: list[Any] = ray.get(answers, timeout=TIMEOUT_S)
    return found


def form(actors: list[Any], backend: str, name: str) -> list[str]:
    """Makes the actors ranks of one group; what joining said to each."""
    world = len(actors)
    joins = [
        actor.join.remote(world, rank, backend, name, TIMEOUT_S)
        for rank, actor in enumerate(actors)
    ]
    found: list[str] = ray.get(joins, timeout=TIMEOUT_S)
    return found


def life_of(actors: list[Any], backend: str) -> Results:
    """One group, from its first to its last moment."""
    name = f"{backend}-{len(actors)}"
    stale = {"RAYLAX_SHM": "1:2:gone", "RAYLAX_TCP": '["127.0.0.2:1", "secret"]'}[backend]
    internal_kv._internal_kv_put(name, stale, namespace=NAMESPACE)
    found: Results = {"joined": form(actors, backend, name)}
    found["told"] = internal_kv._internal_kv_list("", namespace=NAMESPACE)
    found["seat"] = all_of(actors, "seat")
    for how in ReduceOp:
        found[how.name] = all_of(actors, "allreduce", how)
    methods = ("reduce", "reducescatter", "allgather", "broadcast", "pass_on", "objects")
    found |= {method: all_of(actors, method) for method in methods}
    waiting = [actor.wait.remote() for actor in actors[1:]]
    ray.get(actors[0].abort.remote("a watchdog's reason"))
    found["aborted"] = ray.get(waiting, timeout=TIMEOUT_S) + [ray.get(actors[0].wait.remote())]
    found["closed"] = all_of(actors, "close")
    return found


def alone(actor: Any, backend: str, rank: int) -> str:
    """The other one never comes."""
    name = f"{backend}-alone-{rank}"
    found: str = ray.get(actor.join.remote(2, rank, backend, name, SHORT_S), timeout=TIMEOUT_S)
    return found


def main() -> None:
    """Goes through everything once, and writes what came of it."""
    start_fewer_processes()
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=OBJECT_STORE_BYTES,
        _temp_dir=os.environ["RAY_TMPDIR"],
    )
    actor = ray.remote(num_cpus=0)(Rank)
    actors = [actor.remote() for _ in range(max(WORLDS))]
    results = {
        (backend, world): life_of(actors[:world], backend)
        for backend in BACKENDS
        for world in WORLDS
    }
    lonely = {
        (backend, rank): alone(actors[rank], backend, rank)
        for backend in BACKENDS
        for rank in range(2)
    }
    left = internal_kv._internal_kv_list("", namespace=NAMESPACE)
    Path(sys.argv[1]).write_bytes(pickle.dumps((results, lonely, left)))
    ray.shutdown()
