"""Rows of a tensor that are read apart from the others."""

from typing import Any

import numpy as np

ENDS = ((0, 1), (1, 8), (7, 33), (16, None), (5, 10_000))


def same_by_rows(read: Any, name: str = "") -> None:
    """Whether what `read(rows)` has of some rows is what it has of all."""
    whole = read(slice(None))
    for first, end in ENDS:
        rows = slice(first, end)
        got = read(rows)
        assert got.dtype == np.float32 and np.array_equal(got, whole[rows]), (name, rows)
