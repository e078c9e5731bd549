"""From an engine's configuration to who proposes drafts."""

from raylax.kernels.model import Model
from raylax.kernels.options import ModelOptions, ProgressCallback
from raylax.worker.config import EngineConfig, Sizes
from raylax.worker.ranks.drafts.modes import draft_of
from raylax.worker.ranks.drafts.needs import beside
from raylax.worker.sampling.sampler import Sampler
from raylax.worker.scheduling.drafting.base import Proposer
from raylax.worker.scheduling.drafting.lookup import Lookup
from raylax.worker.scheduling.drafting.model_proposer import ModelProposer
from raylax.worker.speculation.proposals import Speculation


def load_proposer(
    config: EngineConfig,
    model: Model,
    sizes: Sizes,
    sampler: Sampler,
    progress: ProgressCallback,
) -> Proposer | None:
    """Who proposes drafts to rank 0's model, by draws of its sampler; None: nobody. Raises
    ConfigError, KernelsError."""
    if not sizes.drafted:
        return None
    if (draft := draft_of(config)) is None:
        found = Speculation(config.spec_draft_length)
        return Lookup(found, in_others=config.spec_lookup_answers, tile_rows=model.tile_rows)
    drafter = draft.load(model, beside(config, model.options, sizes), sampler, progress)
    length, width = config.spec_draft_length, config.spec_tree_width
    return ModelProposer(drafter, length, width, model.tile_rows)


def build_draft(
    config: EngineConfig, options: ModelOptions, sizes: Sizes, progress: ProgressCallback
) -> None:
    """Make in the store what `load_proposer` will need. `options`: of a rank. Raises ConfigError,
    KernelsError."""
    if (draft := draft_of(config)) is not None:
        draft.build(beside(config, options, sizes), progress)
