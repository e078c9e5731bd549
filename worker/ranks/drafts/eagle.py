"""A head of EAGLE's drafts, or the layer that the model itself brings: both read what the model has
computed of the tokens before."""

from typing import Self, cast

from raylax.kernels.build import Footprint
from raylax.kernels.heads.eagle import build_head, head_footprint, head_taps, load_head
from raylax.kernels.model import Model, TappedModel
from raylax.kernels.options import ModelOptions, ProgressCallback
from raylax.worker.config import EngineConfig
from raylax.worker.errors import ConfigError
from raylax.worker.ranks.drafts.base import Beside, DraftModel
from raylax.worker.sampling.sampler import Sampler
from raylax.worker.scheduling.drafting.chain import Chain
from raylax.worker.scheduling.drafting.heads import HeadModel
from raylax.worker.scheduling.drafting.model_proposer import Drafter


class Eagle(DraftModel):
    """A head for a base, in a directory of its own."""

    def taps(self, config: EngineConfig) -> tuple[int, ...]:
        if (config.pipeline_parallel_stages or 1) > 1:
            raise ConfigError(
                f"speculative_mode={config.speculative_mode!r} needs all layers on rank 0, found "
                f"pipeline_parallel_stages={config.pipeline_parallel_stages}"
            )
        return head_taps(self.path, self.target)

    def footprint(self, options: ModelOptions) -> Footprint:
        return head_footprint(self.path, self.target, options)

    def build(self, beside: Beside, progress: ProgressCallback) -> None:
        build_head(self.path, self.target, beside.options, progress)

    def load(
        self, model: Model, beside: Beside, sampler: Sampler, progress: ProgressCallback
    ) -> Drafter:
        options = beside.options
        head = load_head(self.path, self.target, options, beside.all_pages, progress)
        tapped = cast(TappedModel, model).tapped
        most = options.max_step_tokens, options.max_sequence_length
        return Chain(HeadModel(head, tapped, *most), beside.pages, sampler)


class OwnLayer(Eagle):
    """The same, where the model brings it among its own layers."""

    @classmethod
    def found(cls, config: EngineConfig) -> Self:
        """Raises ConfigError if another one is named."""
        if named := config.additional_models:
            raise ConfigError(
                f"speculative_mode='self' drafts with the model's own layer, found {named[0]!r} in "
                "additional_models"
            )
        return cls(config.checkpoint, config.checkpoint)
