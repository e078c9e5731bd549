"""What the budget of prefills came to, for those who want to know: a prompt keeps how it was cut,
and who runs the engine hears of a target that cannot be kept."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from math import inf

from raylax.worker.scheduling.decision.prefill_budget import Budget
from raylax.worker.scheduling.decision.scheduler import StepLimits
from raylax.worker.scheduling.sequence import Sequence

log = logging.getLogger(__name__)
AGAIN = 2.0
"""A target that cannot be kept is told of again when steps take so many times what was told."""


@dataclass(slots=True)
class CutNotes:
    """Of one engine."""

    _told_s: float = 0.0

    def take(
        self,
        prefills: Collection[tuple[Sequence, int]],
        decodes: int,
        budget: Budget | None,
        limits: StepLimits,
    ) -> None:
        """A step is about to compute so many tokens of these, for which it had this budget, beside
        so many that decode."""
        cut = budget is not None and decodes + budget.tokens < limits.tokens
        for one, count in prefills:
            one.prefill_steps += 1
            if cut and budget is not None and count < one.pending and budget.target_s < inf:
                one.was_cut(budget.target_s, budget.floor)
        if prefills and budget is not None and budget.floor:
            self._tell(decodes, budget, limits.itl_s.set_for(budget.target_s))

    def _tell(self, decodes: int, budget: Budget, classes: list[str]) -> None:
        """`classes`: for whom somebody has set that target."""
        if not classes or budget.least_s < AGAIN * self._told_s:
            return
        self._told_s = budget.least_s
        log.warning(
            "target_itl_ms=%.3g for %s cannot be kept while %d sequences decode: beside a prompt a "
            "step takes %.3g ms at least, of which the prompt has an eighth. Serving goes on like "
            "that",
            1000 * budget.target_s, ", ".join(classes), decodes, 1000 * budget.least_s,
        )  # fmt: skip
