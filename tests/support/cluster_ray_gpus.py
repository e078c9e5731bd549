"""Workers on a node with two GPUs, by a driver that has none. See `cluster_ray_nodes.py`."""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray.autoscaler.v2.schema import ResourceDemand, ResourceDemandSummary
from ray.autoscaler.v2.sdk import get_cluster_status
from ray.util import placement_group, remove_placement_group

from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.models.checks import check_gpus, gpus_of_ray
from raylax.cluster.placement import placement
from raylax.kernels.cuda import driver
from raylax.worker.config import EngineConfig
from raylax.worker.errors import EngineStartError
from raylax.worker.hardware.devices import memory_of
from raylax.worker.serving.worker import Worker

ABSENT = EngineConfig(quantization="w8a8", threads=1)
"""A format that only the CPU has: a worker comes as far as to say so."""


WAIT_S = 30.0


class OnGpu:
    """As a worker's replica, as far as it comes."""

    async def come_up(self, checkpoint: str, share: float) -> dict[str, Any]:
        worker = Worker("w", "tiny", checkpoint, "cuda")
        said = "ready"
        try:
            config = ABSENT.complete(gpus_per_rank=share)
            await worker.start(config, "server", "127.0.0.1", "token")
        except EngineStartError as error:
            said = str(error)
        return {
            "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
            "gpus": [driver.uuid(index) for index in range(driver.count())],
            "memory": memory_of("cuda:0", share),
            "watched": [gpu["uuid"] for gpu in worker.report(1, "node")["gpus"]],
            "said": said,
        }


def workers(config: ClusterConfig, checkpoint: str) -> list[dict[str, Any]]:
    """What those come to that the configuration asks for, all at once."""
    options = placement(config)["ray_actor_options"]
    options["num_cpus"] = 0
    actors = [ray.remote(OnGpu).options(**options).remote() for _ in range(config.replicas)]
    shares = [one.come_up.remote(checkpoint, config.gpus_per_rank) for one in actors]
    found: list[dict[str, Any]] = ray.get(shares, timeout=100)
    for actor in actors:
        ray.kill(actor)
    return found


def demand(config: ClusterConfig) -> list[dict[str, float]]:
    """What Ray's cluster autoscaler is asked for while workers find no room: by a bundle or an
    actor its resources."""
    options = placement(config)
    if bundles := options.get("placement_group_bundles"):
        group = placement_group(bundles, options["placement_group_strategy"])
        found = demanded(lambda wanted: wanted.placement_group_demand)
        remove_placement_group(group)
        return found
    asked = {**options["ray_actor_options"], "num_cpus": 0}
    held = [ray.remote(OnGpu).options(**asked).remote() for _ in range(config.replicas)]
    found = demand_of_actors()
    for actor in held:
        ray.kill(actor)
    return found


def demand_of_actors() -> list[dict[str, float]]:
    """The resources of each one that has no room on a GPU."""
    return demanded(lambda wanted: wanted.ray_task_actor_demand)


def demanded(
    part: Callable[[ResourceDemandSummary], Sequence[ResourceDemand]],
) -> list[dict[str, float]]:
    """A part of what Ray's cluster autoscaler is asked for, as soon as there is a GPU in it."""
    address, found = ray.get_runtime_context().gcs_address, list[dict[str, float]]()
    ends = time.monotonic() + WAIT_S
    while not found and time.monotonic() < ends:
        for one in part(get_cluster_status(address).resource_demands):
            for bundle in one.bundles_by_count:
                if "GPU" in bundle.bundle:
                    found += [dict(bundle.bundle)] * bundle.count
        time.sleep(0.1)
    return found


def refusal(config: ClusterConfig) -> str:
    """What is said of more than there are."""
    try:
        check_gpus([config])
    except Exception as error:
        return str(error)
    return ""


def on_two_gpus(checkpoint: str) -> dict[str, Any]:
    """Two workers with a GPU each, then three with a half each."""
    return {
        "told": gpus_of_ray(),
        "too many": refusal(ClusterConfig(device="cuda", replicas=3)),
        "whole": workers(ClusterConfig(device="cuda", replicas=2), checkpoint),
        "halves": workers(ClusterConfig(device="cuda", replicas=3, gpus_per_rank=0.5), checkpoint),
        "alone": demand(ClusterConfig(device="cuda", replicas=3)),
        "together": demand(ClusterConfig(device="cuda", tensor_parallel_shards=3)),
    }
