"""Workers on a Ray that was told of two GPUs, by a driver that has none: results as a pickle.

Runs in a process of its own, see `cluster_on_nodes.py`.
"""

import os
import pickle
import sys
from pathlib import Path
from typing import Any

import ray

from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.models.checks import check_gpus, gpus_of_ray
from raylax.cluster.placement import placement
from raylax.kernels.cuda import driver
from raylax.worker.config import EngineConfig
from raylax.worker.errors import EngineStartError
from raylax.worker.hardware.devices import memory_of
from raylax.worker.serving.worker import Worker
from tests.support.cluster_ray_nodes import connected

ABSENT = EngineConfig(quantization="w8a8", threads=1)
"""A format that only the CPU has: a worker comes as far as to say so."""


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


def refusal(config: ClusterConfig) -> str:
    """What is said of more than there are."""
    try:
        check_gpus([config])
    except Exception as error:
        return str(error)
    return ""


def main() -> None:
    """Two workers with a GPU each, then three with a half each."""
    written, checkpoint = Path(sys.argv[1]), sys.argv[2]
    cluster = connected({"127.0.0.2": 2})
    cluster.add_node(
        node_ip_address="127.0.0.3", num_cpus=2, num_gpus=2, temp_dir=os.environ["RAY_TMPDIR"]
    )
    found = {
        "told": gpus_of_ray(),
        "too many": refusal(ClusterConfig(device="cuda", replicas=3)),
        "whole": workers(ClusterConfig(device="cuda", replicas=2), checkpoint),
        "halves": workers(ClusterConfig(device="cuda", replicas=3, gpus_per_rank=0.5), checkpoint),
    }
    written.write_bytes(pickle.dumps(found))
    ray.shutdown()
    cluster.shutdown()
