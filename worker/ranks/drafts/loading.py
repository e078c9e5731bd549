"""From an engine's configuration to who proposes drafts."""

import logging

from raylax.kernels.model import Model
from raylax.kernels.options import ModelOptions, ProgressCallback
from raylax.worker.config import EngineConfig, Sizes
from raylax.worker.ranks.drafts.modes import MODES, draft_of
from raylax.worker.ranks.drafts.needs import beside
from raylax.worker.sampling.sampler import Sampler
from raylax.worker.scheduling.drafting.base import Proposer
from raylax.worker.scheduling.drafting.lookup import Lookup
from raylax.worker.scheduling.drafting.model_proposer import ModelProposer
from raylax.worker.speculation.proposals import Speculation

log = logging.getLogger(__name__)


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
        if config.speculative_mode in MODES:  # asked for, and missed by nobody's tokens
            device = model.options.device
            log.warning("nothing drafts on %s yet, not %s either", device, config.speculative_mode)
        return None
    if (draft := draft_of(config)) is None:
        found = Speculation(config.spec_draft_length)
        return Lookup(found, in_others=config.spec_lookup_answers)
    drafter = draft.load(model, beside(config, model.options, sizes), sampler, progress)
    return ModelProposer(drafter, config.spec_draft_length, config.spec_tree_width)


def build_draft(
    config: EngineConfig, options: ModelOptions, sizes: Sizes, progress: ProgressCallback
) -> None:
    """Make in the store what `load_proposer` will need. `options`: of a rank. Raises ConfigError,
    KernelsError."""
    if (draft := draft_of(config)) is not None and not options.on_gpu:
        draft.build(beside(config, options, sizes), progress)
