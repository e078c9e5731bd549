"""Which model is meant, and whether it can be served: found out before anything is started."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from raylax.cluster.config.models import DEMO_MODEL
from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.errors import UserError
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.checkpoints.source import resolve_model
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
    for name, count in Counter(model.name for model in found).items():
        if count > 1:
            raise UserError(f"models: each needs its own served_model_name, found {name} twice")
    return found


def find_model(config: ClusterConfig) -> tuple[Path, str]:
    """The checkpoint's directory and the name to serve it under. Raises UserError."""
    if config.model == DEMO_MODEL and not Path(DEMO_MODEL).exists():
        return demo_model(), config.served_model_name or DEMO_NAME
    try:
        path = resolve_model(config.model).resolve()
        if not path.is_dir():
            raise UserError(
                f"{config.model}: no such directory; give a checkpoint's, or HF://org/name"
            )
        open_checkpoint(path)
    except KernelsError as error:
        raise UserError(str(error)) from None
    return path, config.served_model_name or path.name
