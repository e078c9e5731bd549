"""A step's batch in the fields of a graph: what kernels read, and what fills it up."""

import numpy as np
import pytest

from raylax.kernels.cuda.step.batch import (
    LAST,
    MOST_TOKENS,
    NOBODY,
    bucket,
    fields_of,
    room,
    write,
)
from raylax.kernels.cuda.step.inputs import Array
from raylax.kernels.cuda.step.program import StepShape
from raylax.kernels.cuda.step.work_list import IDLE_ITEM, Division
from raylax.kernels.cuda.variants.attention import AttentionShape, attend
from raylax.kernels.model import StepBatch
from tests.support.batches import Piece, batch_of

SHAPE = AttentionShape(4, 2, 64, "bf16")
TILES = attend(SHAPE, 90)
SLOTS, LENGTH = 40, 4096
DIVISION = Division(SHAPE.group, SHAPE.kv_heads, 20, SLOTS)


def pieces(rng: np.random.Generator, tokens: int, rows: int) -> list[Piece]:
    """As many sequences as may be, of random lengths before and now."""
    cuts = np.sort(rng.choice(tokens - 1, rows - 1, replace=False) + 1)
    lengths = np.diff([0, *cuts.tolist(), tokens])
    made = []
    for length in lengths.tolist():
        before = int(rng.integers(0, LENGTH - length))
        pages = rng.integers(0, 999, -(-(before + length) // 16)).tolist()
        made.append(Piece(rng.integers(1, 99, length).tolist(), before, pages))
    return made


def written(
    batch: StepBatch, tokens: int, rows: int
) -> tuple[dict[str, Array], StepShape, bool, dict[str, int]]:
    fields = {
        name: np.full((field.rows, field.columns), 77, field.dtype)
        for name, field in fields_of(tokens, rows, SLOTS, LENGTH).items()
    }
    return fields, *write(batch, fields, DIVISION, TILES)


@pytest.mark.parametrize(
    "tokens, rows", [(1, 1), (5, 5), (100, 7), (129, 129), (256, 3), (272, 272), (700, 9)]
)
def test_the_largest_step_fits_its_fields(tokens: int, rows: int) -> None:
    """Whatever the sizes of an engine: a graph's grids never reach beyond what they read."""
    made = pieces(np.random.default_rng(tokens), tokens, rows)
    batch = batch_of(made)

    fields, shape, is_graph, used = written(batch, tokens, rows)

    assert is_graph == (tokens <= MOST_TOKENS)
    assert shape.tokens <= len(fields["ids"]) and shape.rows <= len(fields["rows"])
    assert shape.items <= len(fields["items"]) and shape.combined <= len(fields["combined"])
    assert used[LAST] <= len(fields[LAST])
    assert fields["ids"][:tokens, 0].tolist() == batch.tokens.tolist()
    assert fields["rows"][:rows, 0].tolist() == batch.rows.tolist()
    assert (fields["ids"][shape.tokens :] == 77).all()


def test_an_item_says_where_the_pages_of_its_sequence_begin() -> None:
    """The table is one list, so that a long sequence does not widen the rows of all others."""
    made = [Piece([1], 40, [5, 6, 7]), Piece([2], 3, [9]), Piece([3], 16, [8, 4])]

    fields, shape, _, used = written(batch_of(made), 8, 8)

    assert fields[LAST][: used[LAST], 0].tolist() == [5, 6, 7, 9, 8, 4]
    assert fields["items"][:3, 0].tolist() == [0, 3, 4]
    assert shape.items == bucket(3)


def test_what_fills_up_a_graph_is_nobodys() -> None:
    made = [Piece([1], 4, [5]), Piece([2], 3, [9]), Piece([3], 5, [8])]

    fields, shape, _, _ = written(batch_of(made), 8, 8)

    assert (shape.tokens, shape.rows, shape.combined) == (4, 4, 0)
    assert fields["slots"][:4, 0].tolist() == [5 * 16 + 4, 9 * 16 + 3, 8 * 16 + 5, NOBODY]
    assert fields["rows"][:4, 0].tolist() == [0, 1, 2, NOBODY]
    assert fields["items"][3].tolist() == list(IDLE_ITEM)


def test_rows_beyond_those_of_a_graph_are_not_filled_up() -> None:
    assert [room(n) for n in (3, 65, 256, 257, 272)] == [4, 96, 256, 257, 272]


def test_buckets() -> None:
    assert [bucket(n) for n in (0, 1, 3, 64, 65, 256, 257, 600)] == [1, 1, 4, 64, 96, 256, 512, 768]
