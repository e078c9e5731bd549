"""The model that drafts for an engine's own: where it lies, what it needs, whether the two fit."""

from dataclasses import replace
from pathlib import Path

from tokenizers import Tokenizer

from raylax.kernels.build import Footprint, footprint
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.heads.eagle import head_footprint, head_taps
from raylax.kernels.heads.medusa import medusa_footprint
from raylax.kernels.options import ModelOptions
from raylax.kernels.shards import Degree
from raylax.worker.config import DRAFT_MODES, EngineConfig, Sizes
from raylax.worker.errors import ConfigError
from raylax.worker.scheduling.drafting.chain import SPARE


def draft_model_of(config: EngineConfig) -> Path | None:
    """Where the model lies that drafts; None if none does. A model may bring one, in a directory of
    its own that is called as the mode. Raises ConfigError."""
    named, mode = config.additional_models, config.speculative_mode
    if mode not in DRAFT_MODES:
        if named:
            raise ConfigError(
                f"additional_models are what drafts in speculative_mode {', '.join(DRAFT_MODES)}, "
                f"found {named[0]!r} and speculative_mode={mode!r}"
            )
        if config.spec_tree_width > 1:
            raise ConfigError(
                "spec_tree_width is of models that draft, speculative_mode "
                f"{', '.join(DRAFT_MODES)}; found {config.spec_tree_width} and "
                f"speculative_mode={mode!r}"
            )
        return None
    if len(named) > 1:
        raise ConfigError(f"one of additional_models can draft, found {len(named)}")
    assert config.model is not None
    if mode == "self":
        if named:
            raise ConfigError(
                f"speculative_mode='self' drafts with the model's own layer, found {named[0]!r} in "
                "additional_models"
            )
        return Path(config.model)
    path = Path(named[0]) if named else Path(config.model) / mode
    if not path.exists():
        where = "additional_models" if named else "additional_models names none, and the model"
        raise ConfigError(
            f"speculative_mode={mode!r} needs a model that drafts: {where} has nothing at {path}"
        )
    return path


def taps_of(config: EngineConfig) -> tuple[int, ...]:
    """Residual streams that the model must keep for its head. Raises ConfigError, KernelsError."""
    path = draft_model_of(config)
    if path is None or config.speculative_mode not in ("eagle", "self"):
        return ()
    if (config.pipeline_parallel_stages or 1) > 1:
        raise ConfigError(
            f"speculative_mode={config.speculative_mode!r} needs all layers on rank 0, found "
            f"pipeline_parallel_stages={config.pipeline_parallel_stages}"
        )
    assert config.model is not None
    return head_taps(path, Path(config.model))


def draft_options(
    config: EngineConfig, options: ModelOptions, longest: int, sequences: int
) -> ModelOptions:
    """How the model that drafts is built, beside an engine's with these options: it is whole on
    rank 0, in a precision of its own. `longest`: tokens of a sequence."""
    return replace(
        options,
        taps=(),
        quantization=config.spec_draft_quantization,
        kv_dtype="auto",
        degree=Degree(),
        library=None,
        max_step_rows=sequences,
        max_sequence_length=longest,
    )


def draft_sizes(
    config: EngineConfig, options: ModelOptions, sizes: Sizes
) -> tuple[ModelOptions, int]:
    """How the model that drafts is built beside a rank, and its pages."""
    longest, sequences = sizes.max_single_sequence_length, sizes.max_num_sequence
    return draft_options(config, options, longest, sequences), sizes.pages + sequences * SPARE


def draft_needs(
    config: EngineConfig, options: ModelOptions, longest: int, sequences: int
) -> Footprint | None:
    """What it needs, the spare pages being part of its workspace; None if there is none, as on
    GPUs. Raises ConfigError, KernelsError."""
    path = draft_model_of(config)
    if path is None or options.on_gpu:
        return None
    built = draft_options(config, options, longest, sequences)
    assert config.model is not None
    target = Path(config.model)
    match config.speculative_mode:
        case "small_draft":
            needs = footprint(path, built)
        case "medusa":
            needs = medusa_footprint(path, target, built)
        case _:
            needs = head_footprint(path, target, built)
    return replace(needs, workspace=needs.workspace + sequences * SPARE * needs.page)


def check_tokenizers(model: Path, draft: Path) -> None:
    """Raises ConfigError unless the same numbers are the same tokens in both, as far as both have
    them."""
    ours, theirs = (by_number(path) for path in (model, draft))
    for number in sorted(ours.keys() & theirs.keys()):
        if ours[number] != theirs[number]:
            raise ConfigError(
                f"{draft} cannot draft for {model}, whose tokenizer is another one: token {number} "
                f"is {theirs[number]!r} there and {ours[number]!r} here"
            )
    if 2 * len(ours.keys() & theirs.keys()) < len(ours):
        raise ConfigError(
            f"{draft} cannot draft for {model}: it has {len(theirs)} tokens of {len(ours)}"
        )


def by_number(path: Path) -> dict[int, str]:
    """The tokens of a model."""
    file = open_checkpoint(path).text / "tokenizer.json"
    try:
        return {
            number: token for token, number in Tokenizer.from_file(str(file)).get_vocab().items()
        }
    except Exception as error:
        raise ConfigError(f"{path} cannot draft, or be drafted for: {file}: {error}") from None
