"""How the rows of a step are drawn, as a model that draws is told: a rule for each row, and the
tokens whose logits are changed before."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

RULE = np.dtype(
    [
        ("scale", np.float32),
        ("top_k", np.int32),
        ("top_p", np.float64),
        ("least", np.int64),
        ("seed", np.uint64),
        ("choice", np.int32),
        ("position", np.int32),
        ("repetition", np.float32),
        ("presence", np.float32),
        ("frequency", np.float32),
        ("changes", np.int32),
    ]
)
"""The first four as in `DrawRule`; the key of the draw; three penalties; and of how many tokens the
logits are changed. A row of position -1 has no rule: its largest logit is taken."""
NO_RULE = -1
MOST_CHANGES = 1 << 16
"""Of all rows of a step. Where more would be wanted, a row has no rule."""


class StepDraws(NamedTuple):
    """Of all rows of a step, in their order."""

    rules: npt.NDArray[Any]
    """RULE[rows]."""
    ids: npt.NDArray[np.int32]
    """The tokens that are changed, row after row; of one row each once."""
    biases: npt.NDArray[np.float32]
    """What is added to their logits."""
    counts: npt.NDArray[np.int32]
    """How often the answer has them; -1 if neither prompt nor answer has. See `Adjustment`."""

    def within(self, vocab: int) -> "StepDraws":
        """The same for a model of so many tokens: of others nothing is changed."""
        known = self.ids < vocab
        if known.all():
            return self
        rules = self.rules.copy()
        owner = np.repeat(np.arange(len(rules)), rules["changes"])
        rules["changes"] = np.bincount(owner[known], minlength=len(rules))
        return StepDraws(rules, self.ids[known], self.biases[known], self.counts[known])


NOTHING = StepDraws(
    np.empty(0, RULE), np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.int32)
)
