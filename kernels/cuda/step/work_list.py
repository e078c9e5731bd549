"""Who attends to what: a step's rows and keys as programs of `attend` and `combine`.

A tile is as many new tokens of a sequence as fit the kernel's queries; it walks its keys in splits
of 512. Where that takes a tile longer than the whole step should, its splits have programs of their
own, and leave what they came to in slots of memory. How work is divided changes no bit (law 1).

Nothing here loops over sequences in Python, for the device waits for it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from raylax.kernels.cuda.variants.attention import SPLIT

PARTS = 4
"""A tile is divided if it has more than this part of what each place of the device has to do."""
IDLE_ITEM = (0, 0, 0, 0, 0, 0, -1, 0)
IDLE_ROW = (0, 0, 0, 0)
"""What frozen grids are filled with: a program that reads no key and writes nothing."""

Ints = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]


class WorkList(NamedTuple):
    """The programs of a step."""

    items: Ints
    """[n, 8] for `attend`: sequence, first new token in the step, that token's position, new tokens
    (0: writes nothing), first split, splits, slot of memory, keys. Of slot -1 are those that have
    all splits of their tile; others have one. Where there are sinks, splits are counted without
    those of which nothing is seen."""
    rows: Ints
    """[m, 4] for `combine`: new token in the step, its place in the tile, first slot, slots (0:
    writes nothing). Of each new token whose tile was divided."""
    slots: int
    """How many slots are used."""

    def write(self, items: Ints, rows: Ints) -> None:
        """Into the buffers of a captured graph, whose grids are frozen: what is left of them gets
        programs that do nothing. ValueError if a buffer is too small."""
        for name, own, buffer in (("items", self.items, items), ("rows", self.rows, rows)):
            if len(own) > len(buffer):
                raise ValueError(f"the graph has room for {len(buffer)} {name}, given {len(own)}")
        items[: len(self.items)], rows[: len(self.rows)] = self.items, self.rows
        items[len(self.items) :], rows[len(self.rows) :] = IDLE_ITEM, IDLE_ROW


@dataclass(frozen=True, slots=True)
class Division:
    """How a step's work is cut: what the kernel wants, and what the device has."""

    group: int
    """Query heads of a KV head."""
    kv_heads: int
    places: int
    """Programs that the device runs at once: multiprocessors, times programs on each."""
    slots: int
    """For which there is memory, at least those of the longest sequence. Where a step wants more,
    its longest tiles get them and others are not divided, which is only slower."""
    window: int = 0
    """Keys that a token sees, its own among them, but for the sinks; 0: all."""
    sinks: int = 0
    """How many of the first keys it sees beside them."""
    split: int = SPLIT

    def work_list(self, query_starts: Ints, kv_lengths: Ints, queries: int) -> WorkList:
        """The work list of a step, as `Model.step` is given it. `queries`: those of the kernel's
        tile, no fewer than `group`; ValueError if they are."""
        tiles, splits = self._tiles(query_starts, kv_lengths, queries)
        longest = max(1, -(-int(splits.sum()) * self.kv_heads // (self.places * PARTS)))
        cut = splits > longest
        slots = int(splits.dot(cut))
        if slots > self.slots:
            cut, slots = longest_within(splits, cut, self.slots)
        return apart(tiles, cut, slots) if slots else WorkList(tiles, NO_ROWS, 0)

    def _tiles(self, starts: Ints, lengths: Ints, queries: int) -> tuple[Ints, Ints]:
        """An undivided item for each tile, and its number of splits."""
        if queries < self.group:
            raise ValueError(f"a tile needs {self.group} queries, has {queries}")
        per, new = queries // self.group, starts[1:] - starts[:-1]
        before = lengths - new
        tiles = (new + (per - 1)) // per
        count = int(tiles.sum())
        items = np.empty((count, 8), np.int32)
        if count == len(tiles) and tiles.all():  # each sequence is one tile, as in decoding
            items[:, 0] = np.arange(count)
            items[:, 1], items[:, 2], items[:, 3], items[:, 7] = starts[:-1], before, new, lengths
        else:
            owner = np.repeat(np.arange(len(tiles)), tiles)
            at = (np.arange(count) - (tiles.cumsum() - tiles)[owner]) * per
            rows = np.minimum(new[owner] - at, per)
            items[:, 0], items[:, 1], items[:, 2] = owner, starts[owner] + at, before[owner] + at
            items[:, 3], items[:, 7] = rows, items[:, 2] + rows
        splits = (items[:, 7] + (self.split - 1)) // self.split
        items[:, 4] = 0
        if self.window:
            least, aside = items[:, 2] - (self.window - 1), -(-self.sinks // self.split)
            unseen = np.maximum(least // self.split - aside, 0)
            items[:, 4] = 0 if self.sinks else unseen
            splits -= unseen
        items[:, 5], items[:, 6] = splits, -1
        return items, splits


NO_ROWS = np.empty((0, 4), np.int32)


def longest_within(splits: Ints, cut: Bools, slots: int) -> tuple[Bools, int]:
    """Of the tiles to be divided the longest that find slots, and how many slots they take."""
    order = (-splits * cut).argsort(kind="stable")
    ends = (splits * cut)[order].cumsum()
    fit = int(np.searchsorted(ends, slots, "right"))
    kept = np.zeros_like(cut)
    kept[order[:fit]] = cut[order[:fit]]
    return kept, int(ends[fit - 1]) if fit else 0


def apart(tiles: Ints, cut: Bools, slots: int) -> WorkList:
    """The tiles of `cut` divided into their splits, behind those that are not."""
    whole, divided = tiles[~cut], tiles[cut]
    splits, tokens = divided[:, 5], divided[:, 3]
    first = splits.cumsum() - splits
    owner = np.repeat(np.arange(len(divided)), splits)
    items = np.empty((len(whole) + slots, 8), np.int32)
    items[: len(whole)], own = whole, items[len(whole) :]
    divided.take(owner, 0, own)
    own[:, 6] = slot = np.arange(slots)
    own[:, 4] += slot - first[owner]
    own[:, 5] = 1
    if len(tokens) == (count := int(tokens.sum())):  # as in decoding
        rows = np.zeros((count, 4), np.int32)
        rows[:, 0], rows[:, 2], rows[:, 3] = divided[:, 1], first, splits
        return WorkList(items, rows, slots)
    owner = np.repeat(np.arange(len(divided)), tokens)
    rows = np.empty((count, 4), np.int32)
    rows[:, 1] = np.arange(count) - (tokens.cumsum() - tokens)[owner]
    rows[:, 0] = divided[owner, 1] + rows[:, 1]
    rows[:, 2], rows[:, 3] = first[owner], splits[owner]
    return WorkList(items, rows, slots)
