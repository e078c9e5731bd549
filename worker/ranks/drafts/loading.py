"""From an engine's configuration to who proposes drafts."""

from pathlib import Path

from raylax.kernels.build import load_whole
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.options import ModelOptions, ProgressCallback
from raylax.worker.config import EngineConfig, Sizes
from raylax.worker.ranks.drafts.needs import check_tokenizers, draft_model_of, draft_sizes
from raylax.worker.scheduling.drafting.base import Proposer
from raylax.worker.scheduling.drafting.chain import Chain
from raylax.worker.scheduling.drafting.lookup import Lookup
from raylax.worker.scheduling.drafting.model_proposer import ModelProposer
from raylax.worker.scheduling.drafting.small_draft import SmallModel
from raylax.worker.speculation.proposals import Speculation


def load_proposer(
    config: EngineConfig, options: ModelOptions, sizes: Sizes, progress: ProgressCallback
) -> Proposer | None:
    """Who proposes drafts to a rank that was built so; None: nobody. Raises ConfigError,
    KernelsError."""
    if not sizes.drafted:
        return None
    if (draft := draft_model_of(config)) is None:
        return Lookup(Speculation(config.spec_draft_length))
    assert config.model is not None
    target = Path(config.model)
    check_tokenizers(target, draft)
    built, pages = draft_sizes(options, sizes)
    model = load_whole(draft, built, pages, progress)
    chain = Chain(SmallModel(model, open_checkpoint(target).spec.vocab), sizes.pages)
    return ModelProposer(chain, config.spec_draft_length)
