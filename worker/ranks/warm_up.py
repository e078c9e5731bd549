"""The first step of a model, before anybody asks for one: it maps what all later ones need, and
shows whether the weights are numbers. Run again, it shows whether they still are."""

import time
from pathlib import Path

import numpy as np

from raylax.kernels.checkpoints.finite import not_finite
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.families import tensors_of
from raylax.kernels.model import StepBatch
from raylax.worker.errors import ConfigError
from raylax.worker.ranks.executor import Executor
from raylax.worker.scheduling.step_plan import StepPlan

TRIED = 8
"""Tokens from all over the vocabulary, of which one has finite logits if any has."""
PAGE = 0


def one_token(token: int) -> StepPlan:
    """A step that computes a token at the beginning of PAGE."""
    zero, one = np.zeros(1, np.int32), np.ones(1, np.int32)
    tokens = np.array([token], np.int32)
    starts = np.array([0, 1], np.int32)
    return StepPlan(0, StepBatch(tokens, zero, zero, starts, one, zero[:, None], zero))


def warm_up(executor: Executor, checkpoint: Path) -> StepPlan:
    """Compute tokens until one has finite logits, and return its step. PAGE is nobody's yet.

    Raises ConfigError if none has; or if the first one has not, and weights are not finite either,
    naming them: only then does it look at the weights.
    """
    tokens = np.linspace(0, executor.rank.model.spec.tokens - 1, TRIED, dtype=np.int32)
    first, *others = map(one_token, tokens.tolist())
    if has_finite_logits(executor, first):
        return first
    opened = open_checkpoint(checkpoint)
    names = (name for name, _ in tensors_of(opened.spec))
    if (wrong := next(not_finite(opened, names), None)) is not None:
        raise ConfigError(f"{checkpoint}: {wrong}")
    if (found := next((one for one in others if has_finite_logits(executor, one)), None)) is None:
        raise ConfigError(
            f"{checkpoint}: its weights are finite, but the logits of {TRIED} tokens from all over "
            "its vocabulary are not: they overflow, or the store's copy of the weights is damaged"
        )
    return found


def still_finite(executor: Executor, plan: StepPlan) -> bool:
    """Whether the step that `warm_up` returned has finite logits, as it had. For between two steps:
    what is in its page is put back."""
    kept = executor.read_pages([PAGE])
    finite = has_finite_logits(executor, plan)
    executor.write_pages([PAGE], kept)
    return finite


def has_finite_logits(executor: Executor, plan: StepPlan) -> bool:
    return bool(np.isfinite(executor.run(plan).logits).all())


def page_seconds(executor: Executor) -> float:
    """What a page takes to be copied out and back, the least of a few tries. For between two steps:
    what is in PAGE stays."""
    took = list[float]()
    for _ in range(TRIED):
        begun = time.perf_counter()
        executor.write_pages([PAGE], executor.read_pages([PAGE]))
        took.append(time.perf_counter() - begun)
    return min(took)
