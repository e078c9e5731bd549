"""What all resources are made of: the names of an installation, its pods, and what runs in them."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.manifests.told import Named, args_of, named_models

Leaf = str | int
"""A value, or the words by which a chart finds it."""
ROUTERS = 2
"""With one of them a pod that goes would be noticed."""
SYSTEM = 2, "4Gi"
"""Cores and memory of pods that run no model."""
BETWEEN_CLUSTERS_S = 60
LONGEST_GROUP = 24
"""Characters of a group's name: KubeRay adds those of the cluster, and letters."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is typed beside the configuration."""

    name: str = "raylax"
    namespace: str | None = None
    image: str = f"raylax:{version('raylax')}"
    volume_claim: str | None = None
    """Of a volume that all pods share; else each has an empty one for itself."""
    volume_size: str | None = None
    """With which the claim is made, too; else it is there."""
    storage_class: str | None = None
    """Of that volume; else the cluster's default."""
    cpus: int = 4
    memory: str = "8Gi"
    """Of a worker's pod."""


@dataclass(frozen=True, slots=True)
class Pods:
    """Pods of one kind: the head, those of routers, or of a model's workers, one in each."""

    name: str
    deployment: str
    """Serve's, whose replicas are in these pods and in no others."""
    cpus: Leaf
    memory: Leaf
    pulls: tuple[str, ...]
    """Models of hubs that are there before Ray starts."""
    cpus_of_a_rank: Leaf = 0
    """What Ray is told that a rank takes; 0 where no model runs."""
    ranks: int = 1
    gpus: int = 0
    least: Leaf = 1
    first: Leaf = 1
    """How many there are before anybody asks."""
    most: Leaf = 1

    @property
    def resource(self) -> str:
        """Ray's name of what these pods have and no others."""
        return "raylax_" + self.name.replace("-", "_")


@dataclass(frozen=True, slots=True)
class Site:
    """A whole installation."""

    name: Leaf
    namespace: Leaf | None
    image: Leaf
    pull_policy: Leaf
    claim: Leaf | None
    claim_size: Leaf | None
    """Of a claim that is made with the rest."""
    storage_class: Leaf | None
    args: Mapping[str, Any] | str
    """What the application is told: keys and values of raylax.yaml."""
    port: int
    grpc_port: int
    head: Pods
    routers: Pods
    workers: tuple[Pods, ...]
    scales: bool | str
    """Whether pods come and go by load."""
    has_keys: bool
    has_tls: bool
    calls_end_s: int
    """How long a call may take."""

    @property
    def old_cluster_s(self) -> int:
        """How long a cluster that an upgrade has replaced may end what it has begun."""
        return self.calls_end_s + BETWEEN_CLUSTERS_S


def site_of(config: ClusterConfig, options: Options) -> Site:
    """Of a configuration that can work there (`fit.py`)."""
    models = named_models(config)
    workers = tuple(workers_of(model, options) for model in models)
    pulls = tuple(dict.fromkeys(model for pods in workers for model in pods.pulls))
    routers = config.routers or ROUTERS
    cpus, memory = SYSTEM
    return Site(
        name=options.name,
        namespace=options.namespace,
        image=options.image,
        pull_policy="IfNotPresent",
        claim=options.volume_claim,
        claim_size=options.volume_size,
        storage_class=options.storage_class,
        args=args_of(config, models, routers, hosts_of(options)),
        port=config.port,
        grpc_port=config.grpc_port,
        head=Pods("head", "Metrics", cpus, memory, pulls),
        routers=Pods(
            "routers", "Router", cpus, memory, pulls, least=routers, first=routers, most=routers
        ),
        workers=workers,
        scales=any(pods.least != pods.most for pods in workers),
        has_keys=config.api_keys_file is not None,
        has_tls=config.tls_cert is not None,
        calls_end_s=math.ceil(config.limits.request_timeout_s),
    )


def workers_of(model: Named, options: Options) -> Pods:
    """The pods of a model's workers."""
    config = model.config
    threads: int | None = config.engine.get("threads")
    each = threads or max(1, options.cpus // config.ranks)
    return Pods(
        name=group_of(model.name, model.deployment),
        deployment=model.deployment,
        cpus=each * config.ranks,
        memory=options.memory,
        pulls=model.pulls,
        cpus_of_a_rank=each,
        ranks=config.ranks,
        gpus=config.ranks if model.device == "cuda" else 0,
        least=config.replicas,
        first=max(1, config.replicas),
        most=config.most_replicas,
    )


def group_of(name: str, deployment: str) -> str:
    """A name for pods of a model: what of its own can be one, and some of Serve's name's digits,
    by which it is no other's."""
    plain = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")[:LONGEST_GROUP].strip("-")
    return "-".join(filter(None, ["workers", plain, deployment[-4:]]))


def hosts_of(options: Options) -> list[str]:
    """The names by which pods of a Kubernetes cluster ask for it."""
    name, namespace = options.name, options.namespace or "default"
    inside = f"{name}.{namespace}"
    return [name, inside, f"{inside}.svc", f"{inside}.svc.cluster.local"]
