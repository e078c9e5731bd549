"""Which model is meant, and whether it can be served: found out before anything is started."""

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from raylax.cluster.config.models import DEMO_MODEL
from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.errors import UserError
from raylax.cluster.models.names import check_name
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.checkpoints.source import GGUF, resolve_model
from raylax.kernels.errors import KernelsError

DEMO_NAME = "raylax-demo"


def demo_model() -> Path:
    """The checkpoint that comes with raylax."""
    return Path(__file__).resolve().parents[2] / "deploy" / "demo_model"


class ResolvedModel(NamedTuple):
    """A model that can be served, and how."""

    config: ClusterConfig
    checkpoint: Path
    name: str


def find_models(config: ClusterConfig) -> list[ResolvedModel]:
    """Each model of a cluster. Raises UserError."""
    found = [ResolvedModel(one, *find_model(one)) for one in config.each]
    for model in found:
        check_name(model.name, str(model.checkpoint))
    for name, count in Counter(model.name for model in found).items():
        if count > 1:
            raise UserError(f"models: each needs its own served_model_name, found {name} twice")
    return found


def find_model(config: ClusterConfig) -> tuple[Path, str]:
    """Where the checkpoint lies, and the name to serve it under. Raises UserError."""
    if config.model == DEMO_MODEL and not Path(DEMO_MODEL).exists():
        return demo_model(), given_or(config.served_model_name, DEMO_NAME)
    try:
        path = resolve_model(config.model).resolve()
        os.listdir(path) if path.is_dir() else path.open("rb").close()  # it can be read
        str(path).encode()  # and processes be told of it
        open_checkpoint(path)
    except KernelsError as error:
        raise UserError(str(error)) from None
    except (OSError, RuntimeError, ValueError) as error:  # of the path itself
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{ascii(config.model)}: cannot be read: {reason}") from None
    return path, given_or(config.served_model_name, path.name.removesuffix(GGUF))


def given_or(given: str | None, name: str) -> str:
    return name if given is None else given
