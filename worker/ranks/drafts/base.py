"""A model that drafts for an engine's own: what every kind of one has to say of itself."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from raylax.kernels.build import Footprint
from raylax.kernels.model import Model
from raylax.kernels.options import ModelOptions, ProgressCallback
from raylax.worker.config import EngineConfig, path_and_library
from raylax.worker.errors import ConfigError
from raylax.worker.sampling.sampler import Sampler
from raylax.worker.scheduling.drafting.model_proposer import Drafter


class Beside(NamedTuple):
    """How a model that drafts is built beside a rank."""

    options: ModelOptions
    pages: int
    """Of the rank: both have the same numbers."""
    spare: int
    """Pages behind those, for drafts."""

    @property
    def all_pages(self) -> int:
        return self.pages + self.spare


@dataclass(frozen=True, slots=True)
class DraftModel(ABC):
    """One that was found. It is whole on rank 0. All raise ConfigError and KernelsError for what
    keeps it from drafting."""

    path: Path
    """Where it lies."""
    target: Path
    """Where the model lies that it drafts for."""
    library: str | None = None
    """What it is run by, if that was named."""

    @classmethod
    def found(cls, config: EngineConfig) -> Self:
        """The one that is named, or that the model brings, in a directory of its own that is called
        as the mode."""
        named, mode, target = config.additional_models, config.speculative_mode, config.checkpoint
        own = str(target / mode), None
        lies, library = path_and_library(named[0]) if named else own
        path = Path(lies)
        if not path.exists():
            where = "additional_models" if named else "additional_models names none, and the model"
            raise ConfigError(
                f"speculative_mode={mode!r} needs a model that drafts: {where} has nothing at "
                f"{path}"
            )
        return cls(path, target, library)

    def taps(self, config: EngineConfig) -> tuple[int, ...]:
        """Residual streams that the engine's model must keep for it."""
        return ()

    @abstractmethod
    def footprint(self, options: ModelOptions) -> Footprint:
        """What it needs, before it is built."""

    @abstractmethod
    def build(self, beside: Beside, progress: ProgressCallback) -> None:
        """Make in the store what `load` will need."""

    @abstractmethod
    def load(
        self, model: Model, beside: Beside, sampler: Sampler, progress: ProgressCallback
    ) -> Drafter:
        """What drafts for rank 0's model, by draws of its sampler."""
