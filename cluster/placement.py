"""How a machine is shared among workers."""

from raylax.cluster.config import ClusterConfig
from raylax.worker.cores import usable_cores


def cpus_of_a_worker(config: ClusterConfig) -> int:
    """The machine's cores, shared evenly among as many workers as there may be."""
    return max(1, usable_cores() // config.most_replicas)
