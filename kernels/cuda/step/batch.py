"""A step's batch as the fields that kernels read, filled up to the sizes of a graph: its grids are
fixed, so a step takes the next larger one, and what is left of it does nothing."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

import numpy as np

from raylax.kernels.cuda.step.draws import CHANGES, change_fields, rule_fields, write_draws
from raylax.kernels.cuda.step.inputs import Array, Field, Ints
from raylax.kernels.cuda.step.program import StepShape
from raylax.kernels.cuda.step.work_list import Division
from raylax.kernels.cuda.variants.attention import choose
from raylax.kernels.cuda.variants.base import Variant
from raylax.kernels.model import StepBatch
from raylax.kernels.options import PAGE_SIZE

LAST = "tables"
NOBODY = -1
"""The slot of a token that is none, and the row of nobody."""
BUCKETS = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256)
MOST_TOKENS = BUCKETS[-1]
"""Of a step that is a graph; what is longer computes for longer than its launches take."""


def bucket(count: int) -> int:
    """The least size that holds so many: of `BUCKETS`, and beyond them a multiple of the last."""
    if count <= MOST_TOKENS:
        return BUCKETS[bisect_left(BUCKETS, count)]
    return -(-count // MOST_TOKENS) * MOST_TOKENS


def room(rows: int) -> int:
    """Rows that there must be room for in steps of at most so many: a step of more rows than a
    graph has tokens is none, and is not filled up."""
    return bucket(rows) if rows <= MOST_TOKENS else rows


def fields_of(tokens: int, rows: int, slots: int, length: int) -> dict[str, Field]:
    """The fields of steps of at most so many tokens and sequences of a length, with so many slots
    for splits: with room for what fills up a graph."""
    one = Field(bucket(tokens))
    return {
        "ids": one,
        "positions": one,
        "slots": one,
        "rows": Field(room(rows)),
        "items": Field(bucket(tokens + slots), 8),
        "combined": Field(bucket(tokens), 4),
        **rule_fields(room(rows)),
        LAST: Field(rows * -(-length // PAGE_SIZE)),
        **change_fields(),
    }


def write(
    batch: StepBatch, fields: Mapping[str, Array], division: Division, tiles: Sequence[Variant]
) -> tuple[StepShape, bool, dict[str, int]]:
    """A batch into these fields: the shape of the step, whether it is one of a graph, and how much
    of the last fields is used."""
    longest = int((batch.query_starts[1:] - batch.query_starts[:-1]).max())
    queries = choose(tiles, division.group, longest).most or 0
    work = division.work_list(batch.query_starts, batch.kv_lengths, queries)
    pages = (batch.kv_lengths + (PAGE_SIZE - 1)) // PAGE_SIZE
    starts = pages.cumsum() - pages
    used = int(pages.sum())
    here = np.arange(batch.page_table.shape[1]) < pages[:, None]
    fields[LAST][:used, 0] = batch.page_table[here]
    # A sequence is where its pages begin: `attend` is told that the table has rows of 1.
    work.items[:, 0] = starts[work.items[:, 0]]
    exact = StepShape(
        len(batch.tokens), max(1, len(batch.rows)), len(work.items), len(work.rows), queries
    )
    is_graph = exact.tokens <= MOST_TOKENS
    shape = in_buckets(exact) if is_graph else exact
    fill(fields["ids"], batch.tokens, shape.tokens, 0)
    fill(fields["positions"], batch.positions, shape.tokens, 0)
    fill(fields["slots"], batch.slots, shape.tokens, NOBODY)
    fill(fields["rows"], batch.rows, shape.rows, NOBODY)
    work.write(fields["items"][: shape.items], fields["combined"][: shape.combined])
    lengths = {LAST: used}
    if changes := write_draws(batch.draws, fields, shape.rows):
        lengths |= dict.fromkeys(CHANGES, changes)
    return shape, is_graph, lengths


def in_buckets(shape: StepShape) -> StepShape:
    """The shape of the graph that a step takes."""
    return StepShape(
        bucket(shape.tokens),
        bucket(shape.rows),
        bucket(shape.items),
        bucket(shape.combined) if shape.combined else 0,
        shape.queries,
    )


def fill(field: Ints, values: Ints, length: int, rest: int) -> None:
    """The first column of a field up to a length: these values, and then the same number."""
    field[: len(values), 0] = values
    field[len(values) : length, 0] = rest
