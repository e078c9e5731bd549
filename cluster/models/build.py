"""Makes what a model needs in the artefact store, before anything serves it."""

from collections.abc import Callable

from raylax.cluster.models.checks import check_device
from raylax.cluster.models.lookup import ResolvedModel
from raylax.cluster.models.mistakes import told_to_the_user
from raylax.cluster.placement import device_of_a_worker
from raylax.worker.config import EngineConfig
from raylax.worker.hardware.devices import detect_device
from raylax.worker.ranks.loading import build_rank

Show = Callable[[str, float | None], None]
"""A step by name; the fraction of it that is done, if that is known."""


def build(model: ResolvedModel, engine: EngineConfig, show: Show) -> None:
    """Compile and pack what each engine of a model will need. Raises UserError: mistakes are found
    here, in seconds."""
    show("reading the model", None)

    def progress(stage: str, fraction: float) -> None:
        show(stage, None if stage.startswith("compile") else fraction)

    with told_to_the_user():
        check_device(model.config.device)
        device = detect_device(device_of_a_worker(model.config))
        if model.config.has_weights:
            build_rank(engine, device, progress)
    show("the model is ready", 1.0)
