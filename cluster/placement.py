"""How machines are shared among workers, and a worker's place among its ranks."""

from collections.abc import Iterable
from typing import Any

from raylax.cluster.config.models import ModelSettings
from raylax.cluster.config.schema import ClusterConfig
from raylax.worker.hardware.cores import usable_cores
from raylax.worker.hardware.devices import choose

FIRST_MACHINE = "node:__internal_head__"
"""What Ray counts on the machine that it was started on, and nowhere else."""
A_LITTLE = 0.001
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


def place_for(deployment: str) -> str:
    """Ray's name of the one place that each machine has for a worker of this deployment."""
    return f"raylax_{deployment}"


def places(config: ClusterConfig, deployments: Iterable[str]) -> dict[str, float]:
    """What a machine has of them, where others may join."""
    return {} if config.cluster is None else {place_for(one): 1.0 for one in deployments}


def on_the_first_machine(config: ClusterConfig) -> dict[str, float]:
    """What keeps something beside the front door, where others may join."""
    return {} if config.cluster is None else {FIRST_MACHINE: A_LITTLE}


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


def placement(config: ClusterConfig, deployment: str = "Worker") -> dict[str, Any]:
    """Options of the worker's deployment: a bundle of resources for each rank, one for the replica
    if it is alone. On GPUs each rank has one, or a share of one, and Ray lets its process see no
    other. Where machines may join, GPUs are all that is counted, and without them one worker goes
    to each."""
    cpus, on_gpus = cpus_of_a_rank(config), device_of_a_worker(config) == "cuda"
    gpus = config.gpus_per_rank if on_gpus else 0
    own: dict[str, float] = {}
    if config.cluster is not None:
        cpus, own = (0, {}) if on_gpus else (cpus, {place_for(deployment): 1.0})
    actor = {"num_cpus": cpus, "num_gpus": gpus, **({"resources": own} if own else {})}
    options: dict[str, Any] = {"ray_actor_options": actor}
    if config.ranks > 1:
        bundle = {what: count for what, count in (("CPU", cpus), ("GPU", gpus)) if count}
        options["placement_group_bundles"] = [bundle | own, *[bundle] * (config.ranks - 1)]
        options["placement_group_strategy"] = (
            "STRICT_PACK" if config.placement == "host" else "PACK"
        )
    return options
