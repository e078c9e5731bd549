"""Whose fault it is that a request has no answer: its own, or that of a model whose memory has gone
bad since it was loaded."""

import math
from collections.abc import Callable

from raylax.worker.errors import ModelDamaged
from raylax.worker.ranks.executor import Executor
from raylax.worker.ranks.warm_up import still_finite
from raylax.worker.scheduling.step_plan import StepPlan

EVERY_S = 2.0
"""At most so often, however many requests have no answer."""


class SelfCheck:
    """Computes a token whose logits were finite once more, when a request had none."""

    def __init__(self, known: StepPlan, clock: Callable[[], float]) -> None:
        """`known`: what `warm_up` returned."""
        self._known, self._clock = known, clock
        self._seen, self._next = 0, -math.inf

    def after_step(self, executor: Executor, unanswered: int) -> None:
        """`unanswered`: requests without an answer since the start. Call it before they are told.

        Raises ModelDamaged if the model has no answers any more, and RankLost.
        """
        if unanswered == self._seen or (now := self._clock()) < self._next:
            return
        if not still_finite(executor, self._known):
            token = int(self._known.batch.tokens[0])
            raise ModelDamaged(
                f"the logits of token {token} were finite when the model was loaded, and are not "
                "any more: its weights in the memory of this worker are damaged"
            )
        self._seen, self._next = unanswered, now + EVERY_S
