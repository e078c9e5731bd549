"""Which model is meant, and whether it can be served: found out before anything is started."""

import os
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from raylax.cluster.config.models import DEMO_MODEL
from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.errors import UserError
from raylax.cluster.models.mistakes import told_to_the_user
from raylax.cluster.models.names import check_name
from raylax.kernels.checkpoints.readers import GGUF, open_checkpoint
from raylax.kernels.errors import KernelsError
from raylax.kernels.sources.events import Audience
from raylax.kernels.sources.fetch import Found, fetch
from raylax.kernels.sources.local import place_of
from raylax.worker.config import FurtherModel, further_model, path_and_library
from raylax.worker.hardware.devices import detect_device
from raylax.worker.hardware.machine import machine_for

DEMO_NAME = "raylax-demo"


def demo_model() -> Path:
    """The checkpoint that comes with raylax."""
    return Path(__file__).resolve().parents[2] / "deploy" / "demo_model"


class ResolvedModel(NamedTuple):
    """A model that can be served, and how."""

    config: ClusterConfig
    checkpoint: Path
    name: str


def fetch_models(config: ClusterConfig, audience: Audience) -> ClusterConfig:
    """The same, with each model that was named in the place of its name: where it lies now, and
    what it is served as. Everybody then has the same files, whatever hubs say later. Raises
    UserError."""

    def where(one: ClusterConfig) -> dict[str, object]:
        found, engine = fetched(one, audience), one.engine
        told: dict[str, object] = {}
        if drafts := engine.get("additional_models"):
            found_drafts = [fetched_draft(one, draft, audience) for draft in drafts]
            told["engine"] = {**engine, "additional_models": found_drafts}
        if not found.was_here:
            told["model"] = str(found.path)
            told["served_model_name"] = given_or(one.served_model_name, found.name)
        return told

    if not config.models:
        return config.model_copy(update=where(config))
    entries = [
        entry.model_copy(update=where(one))
        for entry, one in zip(config.models, config.each, strict=True)
    ]
    return config.model_copy(update={"models": tuple(entries)})


def fetched(config: ClusterConfig, audience: Audience) -> Found:
    """One model. Raises UserError."""
    if is_demo(config):
        return Found(demo_model(), DEMO_NAME, was_here=True)
    return fetch_for(config, config.model, audience)


def fetched_draft(config: ClusterConfig, draft: object, audience: Audience) -> FurtherModel:
    """What drafts for a model, and the library that was named with it. Raises UserError."""
    path, library = path_and_library(further_model(draft))
    found = str(fetch_for(config, path, audience).path.absolute())
    return found if library is None else (found, library)


def fetch_for(config: ClusterConfig, model: str, audience: Audience) -> Found:
    """A model by its name, for the machine of another one's workers. Raises UserError."""
    with told_to_the_user():
        return fetch(model, lambda: machine_for(detect_device(config.device)), audience)


def is_demo(config: ClusterConfig) -> bool:
    return config.model == DEMO_MODEL and not Path(DEMO_MODEL).exists()


def find_models(config: ClusterConfig) -> list[ResolvedModel]:
    """Each model of a cluster, all of which are here. Raises UserError."""
    found = [ResolvedModel(one, *find_model(one)) for one in config.each]
    for model in found:
        check_name(model.name, str(model.checkpoint))
    for name, count in Counter(model.name for model in found).items():
        if count > 1:
            raise UserError(f"models: each needs its own served_model_name, found {name} twice")
    check_aliases(found)
    return found


def check_aliases(models: list[ResolvedModel]) -> None:
    """Raises UserError for aliases by which no client could ask, or that mean several models."""
    for model in models:
        for alias in model.config.aliases:
            check_name(alias, str(model.checkpoint), "aliases: each")
    names = chain(*((model.name, *model.config.aliases) for model in models))
    for name, count in Counter(names).items():
        if count > 1:
            raise UserError(f"aliases: each must be a name of its own, found {name} {count} times")


def find_model(config: ClusterConfig) -> tuple[Path, str]:
    """Where the checkpoint lies, and the name to serve it under. Raises UserError."""
    if is_demo(config):
        return demo_model(), given_or(config.served_model_name, DEMO_NAME)
    try:
        path = place_of(config.model)
        path = path.resolve() if path.is_dir() else path.absolute()  # a link's name says its kind
        os.listdir(path) if path.is_dir() else path.open("rb").close()  # it can be read
        str(path).encode()  # and processes be told of it
        open_checkpoint(path, config.has_weights)
    except KernelsError as error:
        raise UserError(str(error)) from None
    except (OSError, RuntimeError, ValueError) as error:  # of the path itself
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{ascii(config.model)}: cannot be read: {reason}") from None
    return path, given_or(config.served_model_name, path.name.removesuffix(GGUF))


def given_or(given: str | None, name: str) -> str:
    return name if given is None else given
