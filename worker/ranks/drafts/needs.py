"""What the model that drafts needs: of the engine's model, and beside a rank."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from raylax.kernels.build import Footprint
from raylax.kernels.errors import CompileError
from raylax.kernels.options import ModelOptions
from raylax.kernels.shards import Degree
from raylax.worker.config import EngineConfig, Sizes
from raylax.worker.errors import ConfigError
from raylax.worker.ranks.drafts.base import Beside
from raylax.worker.ranks.drafts.modes import draft_of
from raylax.worker.scheduling.drafting.chain import SPARE


def taps_of(config: EngineConfig) -> tuple[int, ...]:
    """Residual streams that the model must keep for what drafts. Raises ConfigError,
    KernelsError."""
    draft = draft_of(config)
    return () if draft is None else draft.taps(config)


def draft_options(
    config: EngineConfig, options: ModelOptions, longest: int, sequences: int
) -> ModelOptions:
    """How the model that drafts is built, beside an engine's with these options: it is whole on
    rank 0, in a precision of its own, run by what was named beside it. `longest`: tokens of a
    sequence. Raises ConfigError."""
    draft = draft_of(config)
    return replace(
        options,
        taps=(),
        quantization=config.spec_draft_quantization,
        kv_dtype="auto",
        degree=Degree(),
        library=None if draft is None else draft.library,
        max_step_rows=sequences,
        max_sequence_length=longest,
    )


def beside(config: EngineConfig, options: ModelOptions, sizes: Sizes) -> Beside:
    """How the model that drafts is built beside a rank of these options."""
    longest, sequences = sizes.max_single_sequence_length, sizes.max_num_sequence
    built = draft_options(config, options, longest, sequences)
    return Beside(built, sizes.pages, sequences * SPARE)


@contextlib.contextmanager
def named_as_its_own() -> Iterator[None]:
    """What is wrong with a quantization is said of `spec_draft_quantization`: ConfigError."""
    try:
        yield
    except CompileError as error:
        if str(error).startswith("quantization "):
            raise ConfigError(f"spec_draft_{error}") from None
        raise


def draft_needs(
    config: EngineConfig, options: ModelOptions, longest: int, sequences: int
) -> Footprint | None:
    """What it needs, the spare pages being part of its workspace; None if there is none. Raises
    ConfigError, KernelsError."""
    if (draft := draft_of(config)) is None:
        return None
    with named_as_its_own():
        needs = draft.footprint(draft_options(config, options, longest, sequences))
    return replace(needs, workspace=needs.workspace + sequences * SPARE * needs.page)
