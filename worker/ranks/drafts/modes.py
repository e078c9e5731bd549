"""The speculative modes in which a model drafts, and which model that is."""

from raylax.worker.config import EngineConfig
from raylax.worker.errors import ConfigError
from raylax.worker.ranks.drafts.base import DraftModel
from raylax.worker.ranks.drafts.eagle import Eagle, OwnLayer
from raylax.worker.ranks.drafts.medusa import Medusa
from raylax.worker.ranks.drafts.small_draft import SmallDraft

MODES: dict[str, type[DraftModel]] = {
    "small_draft": SmallDraft,
    "eagle": Eagle,
    "medusa": Medusa,
    "self": OwnLayer,
}


def draft_of(config: EngineConfig) -> DraftModel | None:
    """The model that drafts; None if none does. Raises ConfigError."""
    named, mode = config.additional_models, config.speculative_mode
    if mode not in MODES:
        if named:
            raise ConfigError(
                f"additional_models are what drafts in speculative_mode {', '.join(MODES)}, "
                f"found {named[0]!r} and speculative_mode={mode!r}"
            )
        if config.spec_tree_width > 1:
            raise ConfigError(
                f"spec_tree_width is of models that draft, speculative_mode {', '.join(MODES)}; "
                f"found {config.spec_tree_width} and speculative_mode={mode!r}"
            )
        return None
    if len(named) > 1:
        raise ConfigError(f"one of additional_models can draft, found {len(named)}")
    return MODES[mode].found(config)
