"""The first step of a model, before anybody asks for one: it maps what all later ones need, and
shows whether the weights are numbers."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.families import tensors_of
from raylax.worker.errors import ConfigError
from raylax.worker.ranks.executor import Executor
from raylax.worker.scheduling.step_plan import StepPlan

log = logging.getLogger(__name__)


def one_token() -> StepPlan:
    """A step that computes token 0 in page 0, which nobody has yet."""
    zero, one = np.zeros(1, np.int32), np.ones(1, np.int32)
    return StepPlan(0, zero, zero, zero, np.array([0, 1], np.int32), one, zero[:, None], zero)


def warm_up(executor: Executor, checkpoint: Path) -> None:
    """Compute one token. Raises ConfigError if its logits are not finite, and weights are not,
    naming them: only then does it look at the weights."""
    output = executor.run(one_token())
    if np.isfinite(output.logits).all():
        return
    wrong = next(not_finite(checkpoint), None)
    if wrong is not None:
        raise ConfigError(f"{checkpoint}: {wrong}")
    log.warning("the logits of token 0 are not finite, though all weights of %s are", checkpoint)


def not_finite(checkpoint: Path) -> Iterator[str]:
    """What is wrong with each tensor that has values which are not finite."""
    opened = open_checkpoint(checkpoint)
    for name, _ in tensors_of(opened.spec):
        tensor = opened.tensor(name)
        if count := int(tensor.size - np.isfinite(tensor).sum()):
            yield f"tensor {name} has {count} of {tensor.size} values that are NaN or infinite"
