"""Sizes of steps that are captured as graphs: a graph's grids are fixed, so a step takes the next
larger one, and what is left of it does nothing."""

from bisect import bisect_left

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
