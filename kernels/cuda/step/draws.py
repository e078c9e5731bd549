"""How a step's rows are drawn, in the fields that `adjust` and `sample` read."""

from collections.abc import Mapping

import numpy as np

from raylax.kernels.cuda.step.inputs import Array, Field
from raylax.kernels.draws.rules import MOST_CHANGES, StepDraws

COLUMNS = {
    "scales": "scale",
    "top_ks": "top_k",
    "top_ps": "top_p",
    "leasts": "least",
    "seeds": "seed",
    "choices": "choice",
    "at": "position",
    "repetitions": "repetition",
    "presences": "presence",
    "frequencies": "frequency",
}
"""Fields, and of which column of the rules they are."""
LAST_OF_RULES = "ends"
"""Of the fields that each row has."""
CHANGES = ("changed", "biases", "counts")
"""As long as they are in a step: see `StepDraws`."""


def rule_fields(rows: int) -> dict[str, Field]:
    """What each of so many rows has."""
    half, whole = Field(rows, dtype=np.float32), Field(rows)
    return {
        "scales": half,
        "top_ks": whole,
        "top_ps": Field(rows, dtype=np.float64),
        "leasts": Field(rows, dtype=np.int64),
        "seeds": Field(rows, dtype=np.uint64),
        "choices": whole,
        "at": whole,
        "repetitions": half,
        "presences": half,
        "frequencies": half,
        "starts": whole,
        "ends": whole,
    }


def change_fields() -> dict[str, Field]:
    """Of all rows together."""
    kinds: tuple[type[np.generic], ...] = (np.int32, np.float32, np.int32)
    return {
        name: Field(MOST_CHANGES, dtype=kind) for name, kind in zip(CHANGES, kinds, strict=True)
    }


def write_draws(draws: StepDraws | None, fields: Mapping[str, Array], length: int) -> int:
    """Into the fields of so many rows; how many changes there are. Who has no rule gets that of the
    largest logit, and no changes."""
    rows = 0 if draws is None else len(draws.rules)
    for name in ("scales", "starts", "ends"):
        fields[name][rows:length, 0] = 0
    if draws is None:
        return 0
    rules, count = draws.rules, len(draws.ids)
    for name, column in COLUMNS.items():
        fields[name][:rows, 0] = rules[column]
    changes = rules["changes"]
    ends = changes.cumsum()
    fields["starts"][:rows, 0], fields["ends"][:rows, 0] = ends - changes, ends
    if count:
        for name, values in zip(CHANGES, draws[1:], strict=True):
            fields[name][:count, 0] = values
    return count
