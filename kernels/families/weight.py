"""One weight of a step, and what it is made of in a checkpoint."""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Names = tuple[str, ...]
Order = npt.NDArray[np.int64]
"""Which row of a checkpoint each row of a weight is."""
Tensor = Callable[[str, slice], Array]
"""Some rows of a checkpoint's tensor, by its name."""


@dataclass(frozen=True, slots=True)
class Weight:
    """A matrix [rows, columns] of the step, or a vector, in every layer or once."""

    name: str
    tensors: Names
    """What it is made of in the checkpoint: their rows follow each other. `{layer}` stands for the
    number of a layer."""
    rows: tuple[int, ...]
    """How many rows each of them has."""
    columns: int | None = None
    """None: a vector."""
    row_block: int | None = None
    """Rows that padding follows: half a head; None: all of a tensor."""
    column_block: int | None = None
    """The same of columns."""
    own: "Weight | None" = None
    """What a checkpoint has of it, where the rest is padding; None: all."""
    order: Order | None = field(default=None, compare=False)
    """Where its rows are in the tensors that it is made of; None: as they follow each other."""
    offset: float = 0.0
    """What is added to a vector as it lies there."""
    experts: int = 0
    """How many there are in a layer, `{expert}` standing for the number of one; 0: one, of no
    expert. Where a `layer` is asked for, they are counted on from layer to layer, of those that
    have it."""
    layers: tuple[int, ...] | None = None
    """The layers that have it; None: all, or it is no layer's."""
    paired: bool = False
    """Whether each row of its first half belongs to one of the second: gate and up of a unit."""
    plain: bool = False
    """Whether its rows are looked up as they are, in f32, and never multiplied."""
    transposed: bool = False
    """Whether the tensor has its columns as rows; a vector, whether it has one row."""

    @property
    def layered(self) -> bool:
        """Whether layers have one of their own."""
        return "{layer}" in self.tensors[0]

    def depth(self, layers: int) -> int:
        """How many of the first so many layers have it."""
        return layers if self.layers is None else bisect_left(self.layers, layers)

    def times(self, layers: int) -> int:
        """How many there are in so many layers."""
        return self.depth(layers) * (self.experts or 1) if self.layered else 1

    def place(self, number: int) -> tuple[int, int]:
        """Layer and expert of one of as many as there are."""
        at, expert = divmod(number, self.experts or 1)
        return (at if self.layers is None else self.layers[at]), expert

    def named(self, name: str, number: int) -> str:
        """One of its tensors."""
        layer, expert = self.place(number)
        return name.format(layer=layer, expert=expert)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the whole weight, in one layer."""
        return self._shape(sum(self.rows))

    @property
    def is_matrix(self) -> bool:
        return self.columns is not None and not self.plain

    def sources(self, layer: int = 0) -> Iterator[tuple[str, tuple[int, ...]]]:
        """(name, shape) of each tensor that it is made of."""
        own = self.own or self
        for name, rows in zip(own.tensors, own.rows, strict=True):
            shape = own._shape(rows)
            if self.transposed:
                shape = (1, *shape) if own.columns is None else shape[::-1]
            yield self.named(name, layer), shape

    def read(self, tensor: Tensor, layer: int, rows: slice) -> Array:
        """Some of its rows in a checkpoint that has those of a `tensor` by name."""
        first, end, _ = rows.indices(sum(self.rows))
        if self.own is not None:
            return self._padded(self.own, tensor, layer, first, end)
        if self.order is None or first == end:
            values = self._following(tensor, layer, first, end)
        else:
            wanted = self.order[first:end]
            least = int(wanted.min())
            found = self._following(tensor, layer, least, int(wanted.max()) + 1)
            values = found[wanted - least]
        return values + values.dtype.type(self.offset) if self.offset else values

    def _following(self, tensor: Tensor, layer: int, first: int, end: int) -> Array:
        """Rows that follow each other in the tensors."""
        if self.transposed:
            (name,) = self.tensors
            columns = tensor(self.named(name, layer), slice(None))
            rows = np.ascontiguousarray(columns[:, first:end].T)
            return rows[:, 0] if self.columns is None else rows
        parts, before = [], 0
        for name, count in zip(self.tensors, self.rows, strict=True):
            own = slice(max(0, first - before), min(count, end - before))
            if own.start < own.stop:
                parts.append(tensor(self.named(name, layer), own))
            before += count
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _padded(self, own: "Weight", tensor: Tensor, layer: int, first: int, end: int) -> Array:
        """The same of one that is padded: rows of a checkpoint stay in their order."""
        sizes = zip(self.rows, own.rows, strict=True)
        every = np.concatenate([filled(*one, self.row_block, own.row_block) for one in sizes])
        before, here = int(every[:first].sum()), every[first:end]
        count, before = int(here.sum()), min(before, sum(own.rows) - 1)
        # A row is read in any case: it has the type, and what else columns may be.
        values = own.read(tensor, layer, slice(before, before + max(1, count)))[:count]
        if self.columns is None or own.columns is None or own.columns == self.columns:
            out = np.zeros((end - first, *values.shape[1:]), values.dtype)
            out[here] = values
            return out
        block, own_block = self.column_block or self.columns, own.column_block or own.columns
        blocks = self.columns // block
        out = np.zeros((end - first, blocks, block), values.dtype)
        out[here, :, :own_block] = values.reshape(count, blocks, own_block)
        return out.reshape(end - first, self.columns)

    def _shape(self, rows: int) -> tuple[int, ...]:
        return (rows,) if self.columns is None else (rows, self.columns)


def filled(size: int, own: int, block: int | None, own_block: int | None) -> npt.NDArray[np.bool_]:
    """Which rows of a padded tensor are not padding: the first of each block."""
    there = np.zeros((size // (block or size), block or size), np.bool_)
    there[:, : own_block or own] = True
    return there.reshape(-1)
