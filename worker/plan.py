"""The step plan: everything that a rank needs to know to run one step (law 4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.worker.pages import PAGE_SIZE
from raylax.worker.sequence import Sequence as Running
from raylax.worker.sequence import ints

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
    Nothing runs meanwhile, so this is laid out by appending: a call of numpy costs more than all
    that a decode needs.
    """
    tokens, positions, slots, table = ints(), ints(), ints(), ints()
    starts, lengths, rows = ints([0]), ints(), ints()
    padding = ints([0]) * max(len(one.pages) for one, _ in batch)
    for one, count in batch:
        pages, computed = one.pages, range(one.computed, one.computed + count)
        tokens += one.tokens[computed.start : computed.stop]
        positions.extend(computed)
        slots.extend([pages[at // PAGE_SIZE] * PAGE_SIZE + at % PAGE_SIZE for at in computed])
        starts.append(len(tokens))
        lengths.append(computed.stop)
        table += pages
        table += padding[len(pages) :]
        if count == one.pending:
            rows.append(len(tokens) - 1)
    return StepPlan(
        number,
        np.asarray(tokens),
        np.asarray(positions),
        np.asarray(slots),
        np.asarray(starts),
        np.asarray(lengths),
        np.asarray(table).reshape(len(batch), -1),
        np.asarray(rows),
    )
