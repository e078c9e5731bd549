"""Rows of a tensor that are read apart from the others."""

from typing import Any

import numpy as np

from raylax.kernels.checkpoints.base import Checkpoint
from raylax.kernels.checkpoints.groups import Kind

ENDS = ((0, 1), (1, 8), (7, 33), (16, None), (5, 10_000))


def same_by_rows(read: Any, name: str = "") -> None:
    """Whether what `read(rows)` has of some rows is what it has of all."""
    whole = read(slice(None))
    for first, end in ENDS:
        rows = slice(first, end)
        got = read(rows)
        assert got.dtype == np.float32 and np.array_equal(got, whole[rows]), (name, rows)


def same_in_groups(checkpoint: Checkpoint, name: str) -> Kind | str:
    """Whether a tensor's groups are its numbers, bit for bit, whichever rows are read; and what its
    form is."""
    form = checkpoint.form(name)
    if not isinstance(form, str):
        for first, end in (*ENDS, (0, None)):
            groups = checkpoint.groups(name, slice(first, end))
            assert groups.kind == form
            assert np.array_equal(groups.values(), checkpoint.tensor(name, slice(first, end)))
    return form
