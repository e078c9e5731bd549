"""How machines are shared among workers, and a worker's place among its ranks."""

from typing import Any

from raylax.cluster.config.models import ModelSettings
from raylax.cluster.config.schema import ClusterConfig
from raylax.worker.hardware.cores import usable_cores
from raylax.worker.hardware.devices import choose

CORES_FOR_TWO = 4
"""With fewer a second router would take from the engine what it gives."""


def routers_of(config: ClusterConfig) -> int:
    """How many routers there are: with two of them one may die and nobody waits."""
    if config.routers is not None:
        return config.routers
    return 2 if usable_cores() >= CORES_FOR_TWO and not config.keys_have_limits else 1


def cpus_of_a_rank(config: ClusterConfig) -> int:
    """The machine's cores, shared evenly among as many ranks as there may be."""
    return max(1, usable_cores() // config.all_ranks)


def cpus_of_the_machine(config: ClusterConfig) -> int:
    """What Ray is to count on this machine: a core for every rank, also where there are fewer."""
    return max(usable_cores(), config.each[0].all_ranks)


def device_of_a_worker(config: ModelSettings) -> str:
    """A kind without a number: Ray shows a worker its own GPU and no other. What `auto` is, is
    said by the machine where this is asked, once for all workers."""
    device = choose().device if config.device == "auto" else config.device
    return device.partition(":")[0]


def cost_of_a_worker(config: ModelSettings) -> float:
    """What it takes of a pool: its GPUs, or on CPUs its ranks, unless it is said otherwise."""
    if config.scaling_cost is not None:
        return config.scaling_cost
    on_gpus = device_of_a_worker(config) == "cuda"
    return config.ranks * (config.gpus_per_rank if on_gpus else 1.0)


def placement(config: ClusterConfig) -> dict[str, Any]:
    """Options of the worker's deployment: a bundle of resources for each rank, one for the replica
    if it is alone. On GPUs each rank has one, or a share of one, and Ray lets its process see no
    other."""
    cpus, on_gpus = cpus_of_a_rank(config), device_of_a_worker(config) == "cuda"
    gpus = config.gpus_per_rank if on_gpus else 0
    options: dict[str, Any] = {"ray_actor_options": {"num_cpus": cpus, "num_gpus": gpus}}
    if config.ranks > 1:
        bundle = {"CPU": cpus, "GPU": gpus} if gpus else {"CPU": cpus}
        options["placement_group_bundles"] = [bundle] * config.ranks
        options["placement_group_strategy"] = (
            "STRICT_PACK" if config.placement == "host" else "PACK"
        )
    return options
