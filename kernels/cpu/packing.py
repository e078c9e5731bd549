"""A weight in pieces: some panels of it are read, laid out and packed apart from the others, so
that none has to be in memory as a whole."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.base import Blocks, Checkpoint
from raylax.kernels.checkpoints.groups import Groups, Kind
from raylax.kernels.cpu.blocks import IN_PANELS, in_f32, in_groups
from raylax.kernels.cpu.kept import all_in, forms_of
from raylax.kernels.families.weight import Tensor, Weight
from raylax.kernels.shards import PANEL

if TYPE_CHECKING:
    from raylax.kernels.cpu.formats.base import Format

Array = npt.NDArray[Any]
AT_ONCE = 1 << 20
"""Weights of a piece, about: in f32 they fit a core's cache, with what is made of them."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of a weight as the step has them: of a matrix whole panels, of a vector all."""

    weight: Weight
    layer: int
    first: int
    end: int

    @property
    def panels(self) -> slice:
        """Of the packed matrix."""
        return slice(self.first // PANEL, self.end // PANEL)

    @property
    def weights(self) -> int:
        """How many it has."""
        return (self.end - self.first) * (self.weight.columns or 1)


def pieces(weights: Iterable[Weight], layers: int) -> Iterator[Piece]:
    """All that is to be packed, layer by layer, as most files have it."""
    every = list(weights)
    for weight in every:
        if not weight.layered:
            yield from pieces_of(weight, 0)
    for layer in range(layers):
        for weight in every:
            if weight.layered:
                for number in range(weight.times(layer), weight.times(layer + 1)):
                    yield from pieces_of(weight, number)


def pieces_of(weight: Weight, layer: int) -> Iterator[Piece]:
    """Those of one weight in one layer."""
    whole = step = weight.shape[0]
    if weight.columns is not None:
        whole += -whole % PANEL
        step = max(1, AT_ONCE // weight.columns // PANEL) * PANEL
    for first in range(0, whole, step):
        yield Piece(weight, layer, first, min(first + step, whole))


class NotStored(LookupError):
    """A tensor does not lie in its file as it is wanted."""


def stored(ck: Checkpoint, dtype: str, name: str, rows: slice) -> Array:
    """Rows as they lie in the file. Raises NotStored for a tensor of another precision."""
    if (bits := ck.bits(name, dtype)) is None:
        raise NotStored
    return bits[rows]


def values(piece: Piece, ck: Checkpoint, fmt: "Format") -> Array | Groups | Blocks:
    """The rows of a piece in f32; bits of 16, groups or their blocks, where that is what the format
    keeps and the files have."""
    keeps = fmt.keeps
    if isinstance(keeps, Kind) and all_in(forms_of(ck, piece.weight, piece.layer), keeps):
        return in_blocks(piece, ck, keeps) or grouped(piece, ck, keeps)
    if isinstance(keeps, str):
        with suppress(NotStored):
            return laid_out(piece, partial(stored, ck, keeps))
    return laid_out(piece, partial(in_f32, ck))


def in_blocks(piece: Piece, ck: Checkpoint, kind: Kind) -> Blocks | None:
    """The rows of a piece as they lie in the file, if that is in blocks of one type which are put
    into panels as a whole."""
    if (types := IN_PANELS.get(kind)) is None:
        return None
    found = dict[str, Blocks]()

    def content(name: str, rows: slice) -> Array:
        blocks = ck.blocks(name, rows)
        if blocks is None or blocks.kind not in types:
            raise NotStored
        found[blocks.kind] = blocks
        if len(found) > 1:
            raise NotStored
        return blocks.content

    with suppress(NotStored):
        rows = laid_out(piece, content)
        (one,) = found.values()
        return one._replace(content=rows)
    return None


def grouped(piece: Piece, ck: Checkpoint, kind: Kind) -> Groups:
    """The rows of a piece in groups, each of whose arrays is laid out as the rows are."""

    @cache
    def read(name: str, first: int, end: int) -> Groups:
        return in_groups(ck, name, slice(first, end)).as_kind(kind)

    def part(field: str, name: str, rows: slice) -> Array:
        array: Array = getattr(read(name, rows.start, rows.stop), field)
        return array

    return Groups(kind, **{name: laid_out(piece, partial(part, name)) for name in kind.fields})


def laid_out(piece: Piece, tensor: Tensor) -> Array:
    """The rows of a piece where the step wants them, and rows of zeros up to a whole panel."""
    weight, layer = piece.weight, piece.layer
    if weight.paired:
        half = weight.shape[0] // 2
        own = [
            weight.read(tensor, layer, slice(start + piece.first // 2, start + piece.end // 2))
            for start in (0, half)
        ]
        return interleaved(*own)
    rows = weight.read(tensor, layer, slice(piece.first, piece.end))
    if (missing := piece.end - piece.first - len(rows)) and weight.is_matrix:
        return np.pad(rows, ((0, missing), (0, 0)))
    return rows


def interleaved(gate: Array, up: Array) -> Array:
    """Rows of both, or their biases, by turns of 16: a panel then holds both halves of a gated
    unit."""
    turns = [part.reshape(-1, 1, 16, *part.shape[1:]) for part in (gate, up)]
    return np.concatenate(turns, 1).reshape(-1, *gate.shape[1:])
