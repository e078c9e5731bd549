"""What an engine reads of a model for vectors that are not of a prompt's last token alone."""

from typing import cast

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.families import weights_of
from raylax.kernels.model import Model, TappedModel
from raylax.worker.config import EngineConfig
from raylax.worker.sampling.pooling import StateReader


def load_states(config: EngineConfig, model: Model) -> StateReader | None:
    """Of a model that keeps what its last layer comes to; None for one that need not. `config` is
    complete. Raises KernelsError."""
    if config.pooling == "last":
        return None
    checkpoint = open_checkpoint(config.checkpoint)
    name, _ = next(weights_of(checkpoint.spec)["norm_f"].sources())
    tapped = cast(TappedModel, model).tapped
    return StateReader(tapped, checkpoint.tensor(name), checkpoint.spec.norm_eps)
