"""What a machine that joins says, and what it is told: a line of JSON each."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.models.lookup import ResolvedModel
from raylax.cluster.placement import device_of_a_worker
from raylax.kernels.store import source_hash
from raylax.worker.serving.worker import versions

OF_THE_FIRST = {
    "allowed_hosts", "api_keys_file", "cors_origins", "files_directory", "host", "keys", "port",
    "grpc_port", "tls_cert", "tls_client_ca", "tls_key",
}  # fmt: skip
"""Settings of what runs on the first machine alone: no other is told what they are."""


class Said(BaseModel):
    """Whatever comes may be of another version: what it says beyond this is not looked at."""

    model_config = ConfigDict(frozen=True)


class Hello(Said):
    """Of a machine that wants to join."""

    versions: dict[str, str]
    address: str
    """By which the others reach it."""


class Served(Said):
    """A model that workers serve."""

    name: str
    checkpoint: str
    """Its path on the first machine, which is that of all."""
    model_id: str
    """`raylax.cluster.application.versions.model_id`."""
    engine: str
    """What its engines are told, as JSON."""


class Welcome(Said):
    """All that a machine must know."""

    versions: dict[str, str]
    time_s: float
    """Of the clock, when this was said."""
    gcs: str
    """Where Ray's own registry is."""
    config: dict[str, Any]
    """Of raylax.yaml, but for what concerns the first machine alone."""
    models: tuple[Served, ...]
    cpus: int
    """That Ray counts on a machine at least, for a worker of each model to have its part."""
    places: dict[str, float]
    """What else it counts there."""


class Joined(Said):
    """Of a machine that has joined."""

    cpus: int
    gpus: int


def own_versions() -> dict[str, str]:
    """Where machines may not differ: all that decides a token, and what Ray compares."""
    python, _, _ = (found := versions())["python"].rpartition(".")
    return {**found, "python": python, "kernels": source_hash()[:12]}


def told_of(config: ClusterConfig, models: Sequence[ResolvedModel]) -> dict[str, Any]:
    """The configuration as other machines have it. Which models are meant, and on what workers run,
    says the first one."""
    told = config.model_dump(mode="json", exclude=OF_THE_FIRST, exclude_unset=True)
    meant = [
        {
            "model": str(model.checkpoint),
            "served_model_name": model.name,
            "device": device_of_a_worker(model.config),
        }
        for model in models
    ]
    if not config.models:
        return told | meant[0]
    return told | {"models": [a | b for a, b in zip(told["models"], meant, strict=True)]}
