"""How machines are shared among workers, and a worker's place among its ranks."""

from typing import Any

from raylax.cluster.config import ClusterConfig
from raylax.worker.cores import usable_cores


def cpus_of_a_rank(config: ClusterConfig) -> int:
    """The machine's cores, shared evenly among as many ranks as there may be."""
    return max(1, usable_cores() // (config.most_replicas * config.ranks))


def cpus_of_the_machine(config: ClusterConfig) -> int:
    """What Ray is to count on this machine: a core for every rank, also where there are fewer."""
    return max(usable_cores(), config.most_replicas * config.ranks)


def placement(config: ClusterConfig) -> dict[str, Any]:
    """Options of the worker's deployment: a bundle of resources for each rank, one for the replica
    if it is alone."""
    cpus = cpus_of_a_rank(config)
    options: dict[str, Any] = {"ray_actor_options": {"num_cpus": cpus}}
    if config.ranks > 1:
        options["placement_group_bundles"] = [{"CPU": cpus}] * config.ranks
        options["placement_group_strategy"] = (
            "STRICT_PACK" if config.placement == "host" else "PACK"
        )
    return options
