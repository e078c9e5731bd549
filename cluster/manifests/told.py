"""What the application is told there: what the file says, and what only a machine could have known.

The rest of the defaults is left to the raylax of the image.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from raylax.cluster.config.models import DEMO_MODEL
from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.models.lookup import DEMO_NAME
from raylax.cluster.models.names import deployment_names
from raylax.kernels.checkpoints.readers import GGUF
from raylax.kernels.errors import CheckpointError
from raylax.kernels.sources.fetch import served_name
from raylax.kernels.sources.short_names import ShortName
from raylax.kernels.sources.source import Local, Repository, source_of
from raylax.router.access.browser_guard import ANY
from raylax.worker.config import further_model, path_and_library

EVERYWHERE = "0.0.0.0"
"""The address of all of a pod's interfaces."""


class Named(NamedTuple):
    """A model, and what it is called everywhere."""

    config: ClusterConfig
    name: str
    """What clients ask for."""
    deployment: str
    """Serve's, of its workers."""
    device: str
    """Pods are of one kind, and nobody looks which."""
    pulls: tuple[str, ...]
    """What of it is fetched from hubs: itself, what drafts."""


def named_models(config: ClusterConfig) -> list[Named]:
    """Each model of a configuration."""
    names = [name_of(one) for one in config.each]
    return [
        Named(one, name, deployment, device_of(one), pulls_of(one))
        for one, name, deployment in zip(config.each, names, deployment_names(names), strict=True)
    ]


def name_of(config: ClusterConfig) -> str:
    """What a model is served as."""
    if config.served_model_name is not None:
        return config.served_model_name
    match there(config.model):
        case Repository() as repository:
            return served_name(repository)
        case ShortName():
            return config.model
        case Local(path=path):
            return DEMO_NAME if path == DEMO_MODEL else Path(path).name.removesuffix(GGUF)


def there(model: str) -> Local | Repository | ShortName:
    """What a name means in a pod, where no directory is that is here. What no hub could have is a
    path that is nowhere."""
    try:
        return source_of(model, lambda path: False, os.environ.get("HF_ENDPOINT", ""))
    except CheckpointError:
        return Local(model)


def pulls_of(config: ClusterConfig) -> tuple[str, ...]:
    named = config.model, *(path for path, _ in drafts_of(config))
    return tuple(one for one in named if not isinstance(there(one), Local))


def drafts_of(config: ClusterConfig) -> list[tuple[str, str | None]]:
    """What drafts: where it lies, and what it is run by, if that is named."""
    drafts = config.engine.get("additional_models") or ()
    return [path_and_library(further_model(one)) for one in drafts]


def device_of(config: ClusterConfig) -> str:
    """A machine that looks, as auto does, would be the head's."""
    return "cpu" if config.device == "auto" else config.device


def args_of(
    config: ClusterConfig, models: Sequence[Named], routers: int, hosts: Sequence[str]
) -> dict[str, Any]:
    """Keys and values of raylax.yaml. `hosts`: by which pods ask."""
    told = config.model_dump(mode="json", exclude_unset=True)
    told |= {"host": config.host if config.host == "::" else EVERYWHERE, "routers": routers}
    if config.api_keys_file is None and ANY not in config.allowed_hosts:
        told["allowed_hosts"] = [*dict.fromkeys([*config.allowed_hosts, *hosts])]
    if not config.models:
        return told | of_a_model(models[0])
    entries = zip(told["models"], models, strict=True)
    return told | {"models": [entry | of_a_model(model) for entry, model in entries]}


def of_a_model(model: Named) -> dict[str, Any]:
    """What manifests are made by, so that it is the same in both."""
    return {
        "model": model.config.model,
        "served_model_name": model.name,
        "device": model.device,
        "replicas": model.config.replicas,
        "max_replicas": model.config.most_replicas,
    }
