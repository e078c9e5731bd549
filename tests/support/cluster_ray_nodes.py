"""What Ray makes of a worker's placement, on several nodes: results as a pickle.

Runs in a process of its own, see `cluster_on_nodes.py`.
"""

import logging
import os
import pickle
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.environment import WORKER_SETUP
from raylax.cluster.placement import placement
from raylax.cluster.ray_patches.fewer_processes import start_fewer_processes
from raylax.worker.config import EngineConfig
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.serving.shard_actors import ShardActors, all_of_bundle
from tests.support.cluster_ray_gpus import on_two_gpus
from tests.support.engines import Answers, request, running_engine

NODES = ["127.0.0.2", "127.0.0.3"]
GPU_NODE = "127.0.0.4"
GPU_MODEL = "RAYLAX_TEST_GPU_MODEL"
"""A checkpoint that workers on that node open, where there is a driver for them."""
PROMPT = list(range(10, 50))
ONE = EngineConfig(
    quantization="q0f32",
    max_num_sequence=4,
    max_single_sequence_length=128,
    max_total_sequence_length=512,
    threads=1,
)
TWO = replace(ONE, tensor_parallel_shards=2)
Results = dict[str, Any]


def tokens_of(engine: ThreadedEngine, answers: Answers) -> list[list[int]]:
    """What three requests at once come to."""
    for i in range(3):
        engine.add_request(request(f"r{i}", PROMPT[i:], 20))
    answers.wait_for("r0", "r1", "r2")
    return [answers.tokens(f"r{i}") for i in range(3)]


class Leader:
    """As a worker's replica: in the first bundle of its group, with an engine that it leads."""

    def answer(self, checkpoint: str, config: EngineConfig) -> Results:
        with running_engine(Path(checkpoint), config, spawner=ShardActors("w0")) as (
            engine,
            answers,
        ):
            return {
                "tokens": tokens_of(engine, answers),
                "hosts": [ray.util.get_node_ip_address(), *(one["host"] for one in engine.shards)],
                "ranks": engine.debug_call_func_on_all_worker("raylax.debug.rank"),
            }


class Device:
    """Which GPUs a process sees."""

    def seen(self) -> str | None:
        return os.environ.get("CUDA_VISIBLE_DEVICES")


class DeviceLeader(Device):
    """As a replica on GPUs, which has no engine yet; its shards are placed as those of one."""

    def seen_by_all(self, ranks: int) -> list[str | None]:
        others = [
            ray.remote(Device).options(**all_of_bundle(rank)).remote() for rank in range(1, ranks)
        ]
        return [self.seen(), *ray.get([one.seen.remote() for one in others], timeout=60)]


@contextmanager
def replica(config: ClusterConfig, body: type) -> Iterator[Any]:
    """Its actor, as Serve places it by our options."""
    options = placement(config)
    bundles, strategy = options["placement_group_bundles"], options["placement_group_strategy"]
    group = placement_group(bundles, strategy=strategy)
    ray.get(group.ready(), timeout=30)
    place = PlacementGroupSchedulingStrategy(
        group, placement_group_bundle_index=0, placement_group_capture_child_tasks=True
    )
    yield (
        ray.remote(body).options(scheduling_strategy=place, **options["ray_actor_options"]).remote()
    )
    remove_placement_group(group)  # which ends all that is in it


def connected(
    cpus: dict[str, int],
    resources: Mapping[str, Mapping[str, float]] | None = None,
    setup: str | None = None,
) -> Cluster:
    """To nodes at these addresses, the head first; each with so many CPUs, and what else is said
    of it. `setup`: the function that each worker runs first."""
    if setup is not None:
        os.environ[WORKER_SETUP] = setup
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])  # a rank has one of them
    start_fewer_processes()
    directory = os.environ["RAY_TMPDIR"]
    (Path(directory) / "ray").mkdir(parents=True)  # where a Cluster leaves its address
    cluster = Cluster()
    for address, count in cpus.items():
        cluster.add_node(
            node_ip_address=address,
            num_cpus=count,
            include_dashboard=False,
            temp_dir=directory,
            resources=dict((resources or {}).get(address, {})),
        )
    ray.init(
        address=cluster.address,
        _node_ip_address=next(iter(cpus)),
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    return cluster


def main() -> None:
    """Answers by two ranks on two nodes, then shows who sees which GPU of a third one; where there
    is a driver for them, workers come up on it. Writes what came of all that."""
    written, checkpoint = Path(sys.argv[1]), sys.argv[2]
    cluster = connected(dict.fromkeys(NODES, 1))
    two = ClusterConfig(tensor_parallel_shards=2, placement="cluster", quantization="q0f32")
    with replica(two, Leader) as leader:
        found = ray.get(leader.answer.remote(checkpoint, TWO), timeout=90)
    cluster.add_node(
        node_ip_address=GPU_NODE, num_cpus=2, num_gpus=2, temp_dir=os.environ["RAY_TMPDIR"]
    )
    with replica(ClusterConfig(tensor_parallel_shards=2, device="cuda"), DeviceLeader) as first:
        found["devices"] = ray.get(first.seen_by_all.remote(2), timeout=60)
    if GPU_MODEL in os.environ:
        found["gpus"] = on_two_gpus(os.environ[GPU_MODEL])
    written.write_bytes(pickle.dumps(found))
    ray.shutdown()
    cluster.shutdown()
