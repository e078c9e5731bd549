"""Makes what a model needs in the artefact store, before anything serves it."""

from collections.abc import Callable
from pathlib import Path

from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.errors import UserError
from raylax.cluster.models.checks import check_device
from raylax.cluster.placement import cpus_of_a_rank
from raylax.kernels.errors import KernelsError
from raylax.kernels.store import default_root
from raylax.worker.hardware.devices import detect_device
from raylax.worker.ranks.loading import build_rank

Show = Callable[[str, float | None], None]
"""A step by name; the fraction of it that is done, if that is known."""


def build(config: ClusterConfig, checkpoint: Path, show: Show) -> None:
    """Compile and pack. Raises UserError: mistakes are found here, in seconds."""
    show("reading the model", None)

    def progress(stage: str, fraction: float) -> None:
        show(stage, None if stage.startswith("compile") else fraction)

    try:
        check_device(config.device)
        engine = config.engine_config(cpus_of_a_rank(config))
        named = engine.complete(model=str(checkpoint), mode=config.mode)
        build_rank(named, detect_device(config.device), progress)
    except (KernelsError, ValueError) as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(
            f"{error.filename or default_root()}: {error.strerror or error}; RAYLAX_STORE names "
            "the directory in which compiled models are kept"
        ) from None
    show("the model is ready", 1.0)
