"""The work list of attention: which rows meet which keys, and in what order.

A tile is 8 rows of one sequence, a row being one query head of one new token; a task is a tile and
a KV head. A few tasks over many keys would leave threads idle: the keys of a task longer than a
quarter of a thread's share are split into parts at the bounds of blocks, and what each block came
to is kept in a slot of memory until all are merged. Where keys are split changes no bit: a block
is always reduced on its own, and blocks are always merged in ascending order (law 1).
"""

from array import array
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

ROWS = 8  # of a tile
KEYS = 256  # of a block
PARTS = 4  # of a thread's share: the most that threads wait for the last one is one of them
WHOLE = -(1 << 30)  # a tile that is not split keeps nothing in slots

Ints = npt.NDArray[np.int32]


class WorkList(NamedTuple):
    """The tasks of attention in a step, and what is to be merged after them."""

    parts: Ints
    """[n, 5]: sequence, first row, first block, block of the end, and the slot that block 0 would
    have, or WHOLE of its tile. Longest first; each is a task for every KV head."""
    splits: Ints
    """[m, 4]: sequence, first row, blocks and first slot of each tile that was split."""


def work_list(
    query_starts: Ints,
    kv_lengths: Ints,
    group: int,
    kv_heads: int,
    workers: int,
    window: int = 0,
) -> WorkList:
    """The work list of a step. `group`: query heads of a KV head; `window`: keys that a token sees,
    0 for all. Blocks that no row of a tile sees anything of are left out: they would weigh nothing.

    It is made of plain lists: nothing runs meanwhile, and numpy is slow to begin with where a
    step's weights have just gone through the caches.
    """
    tiles = tiles_of(query_starts.tolist(), kv_lengths.tolist(), group, window)
    longest = -(-sum(blocks for _, _, _, blocks in tiles) * kv_heads // (workers * PARTS))
    parts, splits, slot = [], array("i"), 0
    for sequence, first, since, blocks in tiles:
        if workers == 1 or blocks <= longest:
            parts.append((blocks, sequence, first, since, since + blocks, WHOLE))
            continue
        count, base = -(-blocks // longest), slot - since
        bounds = [since + blocks * n // count for n in range(count + 1)]
        parts += [(end - at, sequence, first, at, end, base) for at, end in pairwise(bounds)]
        splits.extend((sequence, first, blocks, slot))
        slot += blocks
    parts.sort(key=itemgetter(0), reverse=True)
    flat = array("i", [number for part in parts for number in part[1:]])
    return WorkList(np.asarray(flat).reshape(-1, 5), np.asarray(splits).reshape(-1, 4))


def tiles_of(
    query_starts: list[int], kv_lengths: list[int], group: int, window: int = 0
) -> list[tuple[int, int, int, int]]:
    """(sequence, first row, first block of keys that it meets, and how many) of each tile."""
    tiles = []
    for sequence, (begin, end) in enumerate(pairwise(query_starts)):
        rows, before = (end - begin) * group, kv_lengths[sequence] - (end - begin)
        for first in range(0, rows, ROWS):
            keys = before + (min(first + ROWS, rows) - 1) // group + 1
            since = max(0, before + first // group + 1 - window) // KEYS if window else 0
            tiles.append((sequence, first, since, -(-keys // KEYS) - since))
    return tiles


class Bounds(NamedTuple):
    """The most that a work list can hold.

    A split task is longer than 1 / (PARTS * workers) of all work, so fewer than PARTS * workers of
    them exist, and all their parts are fewer than twice as many.
    """

    parts: int
    splits: int
    slots: int
    """Blocks that are kept, of all KV heads together."""


def bounds(
    tokens: int, sequences: int, length: int, group: int, kv_heads: int, workers: int
) -> Bounds:
    """The bounds of a capacity. `length`: the longest sequence. Memory grows with workers * length,
    not with batches."""
    tiles = tokens * group // ROWS + sequences
    tasks = min(PARTS * workers, tiles * kv_heads)
    return Bounds(tiles + 2 * PARTS * workers, tasks, tasks * -(-length // KEYS))
