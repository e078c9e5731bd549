"""Steps of a model from lists of sequences."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raylax.kernels.model import Model, StepBatch, StepOutput

PAGE = 16


@dataclass(frozen=True)
class Piece:
    """Some tokens of a sequence, the position of the first, and the sequence's pages."""

    tokens: Sequence[int]
    start: int
    pages: Sequence[int]


def run(model: Model, *pieces: Piece) -> StepOutput:
    """One step, in which each piece's last token has a row."""
    return model.step(batch_of(pieces))


def batch_of(pieces: Sequence[Piece]) -> StepBatch:
    """The step's arguments."""
    ends = [piece.start + len(piece.tokens) for piece in pieces]
    starts = np.cumsum([0, *(len(piece.tokens) for piece in pieces)]).astype(np.int32)
    table = np.zeros((len(pieces), max(len(piece.pages) for piece in pieces)), np.int32)
    for row, piece in enumerate(pieces):
        table[row, : len(piece.pages)] = piece.pages
    owner = np.repeat(np.arange(len(pieces)), np.diff(starts))
    firsts = np.array([piece.start for piece in pieces], np.int32)
    positions = (np.arange(starts[-1]) - starts[owner] + firsts[owner]).astype(np.int32)
    return StepBatch(
        tokens=np.concatenate([np.asarray(piece.tokens, np.int32) for piece in pieces]),
        positions=positions,
        slots=(table[owner, positions // PAGE] * PAGE + positions % PAGE).astype(np.int32),
        query_starts=starts,
        kv_lengths=np.asarray(ends, np.int32),
        page_table=table,
        rows=starts[1:] - 1,
    )
