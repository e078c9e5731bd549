"""The step plan: everything that a rank needs to know to run one step (law 4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.worker.pages import PAGE_SIZE
from raylax.worker.sequence import Sequence as Running

Ints = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class StepPlan:
    """Arguments of `Model.step`; see there for shapes."""

    number: int
    tokens: Ints
    positions: Ints
    slots: Ints
    query_starts: Ints
    kv_lengths: Ints
    page_table: Ints
    rows: Ints

    def arguments(self) -> dict[str, Any]:
        return {
            "tokens": self.tokens,
            "positions": self.positions,
            "slots": self.slots,
            "query_starts": self.query_starts,
            "kv_lengths": self.kv_lengths,
            "page_table": self.page_table,
            "rows": self.rows,
        }


def make_plan(number: int, batch: Sequence[tuple[Running, int]]) -> StepPlan:
    """`batch`: sequences, whose pages suffice, and how many pending tokens of each to compute.

    Logits are wanted of those that end the step with nothing pending, in the order of the batch.
    """
    counts = np.array([count for _, count in batch], np.int32)
    begins = np.array([one.computed for one, _ in batch], np.int32)
    starts = np.zeros(len(batch) + 1, np.int32)
    np.cumsum(counts, out=starts[1:])
    tokens = np.empty(int(starts[-1]), np.int32)
    table = np.zeros((len(batch), max(len(one.pages) for one, _ in batch)), np.int32)
    for row, (one, count) in enumerate(batch):
        tokens[starts[row] : starts[row + 1]] = one.tokens[one.computed : one.computed + count]
        table[row, : len(one.pages)] = one.pages
    row_of = np.repeat(np.arange(len(batch), dtype=np.int32), counts)
    positions = np.arange(len(tokens), dtype=np.int32) + (begins - starts[:-1])[row_of]
    slots = table[row_of, positions // PAGE_SIZE] * PAGE_SIZE + positions % PAGE_SIZE
    ending = [row for row, (one, count) in enumerate(batch) if count == one.pending]
    rows = (starts[1:] - 1)[ending]
    return StepPlan(number, tokens, positions, slots, starts, begins + counts, table, rows)
