"""Builds the arrays of a step from a list of sequences: what a scheduler's plan comes to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.model import Model, StepBatch
from raylax.kernels.options import ModelOptions

PAGE = 16
OPTIONS = ModelOptions(
    "q0f32", threads=2, max_step_tokens=512, max_step_rows=512, max_sequence_length=512
)
"""What is compiled is made for the most that a step holds, too: who needs no other takes this, and
shares it with all who do."""
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Piece:
    """Some tokens of a sequence, the position of the first, and the sequence's pages."""

    tokens: Sequence[int]
    start: int
    pages: Sequence[int]

    @property
    def positions(self) -> npt.NDArray[np.int32]:
        """Of each token in its sequence."""
        return np.arange(self.start, self.start + len(self.tokens), dtype=np.int32)

    @property
    def slots(self) -> npt.NDArray[np.int32]:
        """Where each token's keys and values lie: in its page, counted from the first page."""
        pages = np.asarray(self.pages, np.int32)
        return pages[self.positions // PAGE] * PAGE + self.positions % PAGE


def batch_of(pieces: Sequence[Piece]) -> StepBatch:
    """What `Model.step` is given, logits wanted at the end of every piece."""
    lengths = [len(piece.tokens) for piece in pieces]
    starts = np.cumsum([0, *lengths]).astype(np.int32)
    table = np.zeros((len(pieces), max(len(piece.pages) for piece in pieces)), np.int32)
    for row, piece in enumerate(pieces):
        table[row, : len(piece.pages)] = piece.pages
    ends = [piece.start + len(piece.tokens) for piece in pieces]
    return StepBatch(
        np.concatenate([np.asarray(p.tokens, np.int32) for p in pieces]),
        np.concatenate([piece.positions for piece in pieces]),
        np.concatenate([piece.slots for piece in pieces]),
        starts,
        np.asarray(ends, np.int32),
        table,
        starts[1:] - 1,
    )


def run(model: Model, *pieces: Piece, **changed: Any) -> Floats:
    """One step; the logits at the end of every piece, or at `rows`."""
    return np.array(model.step(batch_of(pieces)._replace(**changed)).logits)
