"""Medusa's heads draft: a token each, of what the model has computed of the last one."""

from raylax.kernels.build import Footprint
from raylax.kernels.heads.medusa import build_medusa, load_medusa, medusa_footprint
from raylax.kernels.model import Model
from raylax.kernels.options import ModelOptions, ProgressCallback
from raylax.worker.ranks.drafts.base import Beside, DraftModel
from raylax.worker.sampling.sampler import Sampler
from raylax.worker.scheduling.drafting.medusa import MedusaDrafter
from raylax.worker.scheduling.drafting.model_proposer import Drafter


class Medusa(DraftModel):
    """They have no pages."""

    def footprint(self, options: ModelOptions) -> Footprint:
        return medusa_footprint(self.path, self.target, options)

    def build(self, beside: Beside, progress: ProgressCallback) -> None:
        build_medusa(self.path, self.target, beside.options, progress)

    def load(
        self, model: Model, beside: Beside, sampler: Sampler, progress: ProgressCallback
    ) -> Drafter:
        heads = load_medusa(self.path, self.target, beside.options, progress)
        return MedusaDrafter(heads, sampler)
