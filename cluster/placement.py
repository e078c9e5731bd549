"""How a machine is shared among workers."""

import os

from raylax.cluster.config import ClusterConfig


def cpus_of_a_worker(config: ClusterConfig) -> int:
    """The machine's cores, shared evenly among as many workers as there may be."""
    return max(1, len(os.sched_getaffinity(0)) // config.most_replicas)
