"""A matrix that is packed some rows at a time, so that none has to be in memory as a whole."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from raylax.kernels.cuda.formats.base import Array, Format, Packed
from raylax.kernels.cuda.formats.shards import Part, packed_part

ROWS_OF = 1 << 24
"""Weights that are read together: some for each thread."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the rows of a matrix come from."""

    shape: tuple[int, int]
    read: Callable[[slice], Array]
    """Some of them, in f32 or as a format keeps them."""
    mapped: bool = False
    """Whether they are had from a file as they are kept, and take no memory."""


def packed(form: Format, source: Source, part: Part, threads: int) -> Packed:
    """What `packed_part` makes of all rows."""
    if source.mapped:
        return packed_part(form, source.read(slice(0, source.shape[0])), part, threads)
    shapes = form.shapes(*part.shape(*source.shape))
    out = {name: np.empty(shape, dtype) for name, (shape, dtype) in shapes.items()}
    columns, at = replace(part, rows=()), 0
    for rows in pieces(source.shape, part):
        own = slice(at, at := at + rows.stop - rows.start)
        for name, array in packed_part(form, source.read(rows), columns, threads).items():
            out[name][(slice(None), own) if name == "scales" else own] = array
    return out


def pieces(shape: tuple[int, int], part: Part) -> Iterator[slice]:
    """The rows of a part, one after the other."""
    step = max(1, ROWS_OF // shape[1])
    for first, count in part.rows or ((0, shape[0]),):
        for start in range(first, first + count, step):
            yield slice(start, min(start + step, first + count))
