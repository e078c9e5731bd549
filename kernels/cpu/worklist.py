"""The work list of attention: which rows meet which keys, and in what order.

A tile is 8 rows of one sequence, a row being one query head of one new token; a task is a tile and
a KV head. A few tasks over many keys would leave threads idle: the keys of a task longer than a
quarter of a thread's share are split into parts at the bounds of blocks, and what each block came
to is kept in a slot of memory until all are merged. Where keys are split changes no bit: a block
is always reduced on its own, and blocks are always merged in ascending order (law 1).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

ROWS = 8  # of a tile
KEYS = 256  # of a block
PARTS = 4  # of a thread's share: the most that threads wait for the last one is one of them
WHOLE = -1  # a tile that is not split keeps nothing in slots

Ints = npt.NDArray[np.int32]
NO_SPLITS: Ints = np.empty((0, 4), np.int32)


class WorkList(NamedTuple):
    parts: Ints
    """[n, 5]: sequence, first row, first block, block of the end, first slot or WHOLE of its tile.
    Longest first; each is a task for every KV head."""
    splits: Ints
    """[m, 4]: sequence, first row, blocks and first slot of each tile that was split."""


def work_list(
    query_starts: Ints, kv_lengths: Ints, group: int, kv_heads: int, workers: int
) -> WorkList:
    """`group`: query heads of a KV head."""
    sequence, first, blocks = tiles_of(query_starts, kv_lengths, group)
    longest = -(-int(blocks.sum()) * kv_heads // (workers * PARTS))
    split = blocks > longest if workers > 1 else blocks < 0
    if not split.any():
        parts = table(sequence, first, 0, blocks, WHOLE)
        return WorkList(parts[(-blocks).argsort(kind="stable")], NO_SPLITS)
    slots = np.cumsum(blocks * split) - blocks
    counts = np.where(split, -(-blocks // longest), 1)
    tile, part = repeated(counts)
    begin, end = (blocks[tile] * n // counts[tile] for n in (part, part + 1))
    parts = table(sequence[tile], first[tile], begin, end, np.where(split, slots, WHOLE)[tile])
    order = (begin - end).argsort(kind="stable")
    return WorkList(parts[order], table(sequence, first, blocks, slots)[split])


def tiles_of(query_starts: Ints, kv_lengths: Ints, group: int) -> tuple[Ints, Ints, Ints]:
    """Of each tile: its sequence, its first row and how many blocks of keys it meets."""
    counts = query_starts[1:] - query_starts[:-1]
    rows = counts * group
    sequence, tile = repeated((rows + ROWS - 1) // ROWS)
    last = np.minimum(tile * ROWS + ROWS, rows[sequence]) - 1
    keys = (kv_lengths - counts)[sequence] + last // group + 1
    return sequence, tile * ROWS, (keys + KEYS - 1) // KEYS


def repeated(counts: Ints) -> tuple[Ints, Ints]:
    """Each index as often as its count says, and the how-manieth it is: [2, 1] -> 0 0 1, 0 1 0."""
    starts = counts.cumsum() - counts
    index = np.arange(len(counts), dtype=np.int32).repeat(counts)
    return index, np.arange(len(index), dtype=np.int32) - starts[index]


def table(*columns: Ints | int) -> Ints:
    rows = np.empty((np.size(columns[0]), len(columns)), np.int32)
    for i, column in enumerate(columns):
        rows[:, i] = column
    return rows


class Bounds(NamedTuple):
    """The most that a work list can hold.

    A split task is longer than 1 / (PARTS * workers) of all work, so fewer than PARTS * workers of
    them exist, and all their parts are fewer than twice as many.
    """

    parts: int
    splits: int
    slots: int
    """Blocks of all KV heads together."""


def bounds(
    tokens: int, sequences: int, length: int, group: int, kv_heads: int, workers: int
) -> Bounds:
    """`length`: the longest sequence. Its memory grows with workers * length, not with batches."""
    tiles = tokens * group // ROWS + sequences
    tasks = min(PARTS * workers, tiles * kv_heads)
    return Bounds(tiles + 2 * PARTS * workers, tasks, tasks * -(-length // KEYS))
