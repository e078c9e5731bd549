"""Ray's collectives, over our shared memory, between two actors of a Ray of their own."""

import logging
import os
from pathlib import Path

from ranks.base import TIMEOUT_S, Seconds, timed

BACKEND, GROUP, WORLD = "RAYLAX_SHM", "bench", 2


class Actor:
    """A rank. Ray imports this module where it runs."""

    def __init__(self, rank: int) -> None:
        from raylax.worker.comm.ray_backend import join_group

        self._group = join_group(WORLD, rank, BACKEND, GROUP, TIMEOUT_S)

    def measure(self, size: int, count: int) -> Seconds:
        return timed(self, size, count)

    def prepare(self, size: int) -> None:
        import numpy as np

        self._array = np.zeros(size // 4, np.float32)

    def __call__(self) -> None:
        from ray.util import collective

        collective.allreduce(self._array, GROUP)


class Rays:
    def __init__(self, directory: Path) -> None:
        from raylax.cluster.environment import for_ray

        os.environ.update(for_ray(directory))
        import ray

        from raylax.cluster.ray_patches.fewer_processes import (
            OBJECT_STORE_BYTES,
            start_fewer_processes,
        )

        start_fewer_processes()
        ray.init(
            address="local", num_cpus=WORLD, include_dashboard=False, log_to_driver=False,
            logging_level=logging.ERROR, object_store_memory=OBJECT_STORE_BYTES,
            _temp_dir=str(directory),
        )  # fmt: skip
        self._ray, actor = ray, ray.remote(num_cpus=0)(Actor)
        self._actors = [actor.remote(rank) for rank in range(WORLD)]

    def measure(self, size: int, count: int) -> Seconds:
        found: list[Seconds] = self._ray.get(
            [actor.measure.remote(size, count) for actor in self._actors]
        )
        return found[0]

    def close(self) -> None:
        self._ray.shutdown()
