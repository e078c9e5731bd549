"""From an engine's configuration to who proposes drafts."""

import logging
from pathlib import Path
from typing import cast

from raylax.kernels.build import build, load_whole
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.heads.eagle import head_artefacts, load_head
from raylax.kernels.heads.medusa import load_medusa, medusas_artefacts
from raylax.kernels.model import Model, TappedModel
from raylax.kernels.options import ModelOptions, ProgressCallback
from raylax.worker.config import DRAFT_MODES, EngineConfig, Sizes
from raylax.worker.ranks.drafts.needs import check_tokenizers, draft_model_of, draft_sizes
from raylax.worker.sampling.sampler import Sampler
from raylax.worker.scheduling.drafting.base import Proposer
from raylax.worker.scheduling.drafting.chain import Chain
from raylax.worker.scheduling.drafting.heads import HeadModel
from raylax.worker.scheduling.drafting.lookup import Lookup
from raylax.worker.scheduling.drafting.medusa import MedusaDrafter
from raylax.worker.scheduling.drafting.model_proposer import Drafter, ModelProposer
from raylax.worker.scheduling.drafting.small_draft import SmallModel
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
        if config.speculative_mode in DRAFT_MODES:  # asked for, and missed by nobody's tokens
            device = model.options.device
            log.warning("nothing drafts on %s yet, not %s either", device, config.speculative_mode)
        return None
    if (draft := draft_model_of(config)) is None:
        found = Speculation(config.spec_draft_length)
        return Lookup(found, in_others=config.spec_lookup_answers)
    assert config.model is not None
    target, (options, pages) = Path(config.model), draft_sizes(config, model.options, sizes)
    drafter: Drafter
    match config.speculative_mode:
        case "small_draft":
            check_tokenizers(target, draft)
            small = SmallModel(
                load_whole(draft, options, pages, progress),
                model.spec.vocab,
                open_checkpoint(draft).tokens,
            )
            drafter = Chain(small, sizes.pages, sampler)
        case "medusa":
            drafter = MedusaDrafter(load_medusa(draft, target, options, progress), sampler)
        case _:
            head = load_head(draft, target, options, pages, progress)
            tapped = cast(TappedModel, model).tapped
            most = options.max_step_tokens, options.max_sequence_length
            drafter = Chain(HeadModel(head, tapped, *most), sizes.pages, sampler)
    return ModelProposer(drafter, config.spec_draft_length, config.spec_tree_width)


def build_draft(
    config: EngineConfig, options: ModelOptions, sizes: Sizes, progress: ProgressCallback
) -> None:
    """Make in the store what `load_proposer` will need. `options`: of a rank. Raises ConfigError,
    KernelsError."""
    if (draft := draft_model_of(config)) is None or options.on_gpu:
        return
    assert config.model is not None
    target, (drafting, pages) = Path(config.model), draft_sizes(config, options, sizes)
    if config.speculative_mode == "small_draft":
        check_tokenizers(target, draft)
        build(draft, drafting, pages, progress=progress)
        return
    if config.speculative_mode == "medusa":
        artefacts = medusas_artefacts(draft, target, drafting, progress)
    else:
        _, artefacts = head_artefacts(draft, target, drafting, progress)
    artefacts.library()
    artefacts.weights()
