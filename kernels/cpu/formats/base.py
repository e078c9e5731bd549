"""What a weight format has to say. Adding one is one file here and a line in `formats/__init__`.

Weights lie in panels of 32 output rows, so that lanes run over outputs and a product walks K
upwards with one accumulator per output: a row has one order of summation whatever shares its
batch (law 1). Activations lie as [tokens / tile][K][tile], the order in which a product reads them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy.typing as npt

from raylax.kernels.checkpoints.groups import Kind
from raylax.kernels.cpu.tir.dot import Dot

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
Store = Callable[[int, int, Any], None]


class RowTile(NamedTuple):
    """Some rows of activations that are multiplied together."""

    buffer: Any
    k: int
    """How many activations a row has."""
    rows: int
    index: Any
    """The number of the tile in the buffer."""
    first: Any = 0
    """The column of the weights that the first activation meets; a multiple of 32."""


class Weights(Protocol):
    """How weights are stored and multiplied."""

    dtype: str
    """The type of a packed weight's elements, as TVM names it."""
    ahead: int
    """Steps along K to prefetch ahead, when few tokens share the weights."""
    tile_rows: int
    """The rows of the largest tile: 4 or 8, whichever is faster."""

    @property
    def name(self) -> str:
        """Two formats of one name have the same weights and the same code."""
        ...

    @property
    def keeps(self) -> Kind | str | None:
        """A kind of groups that it keeps as it is, or a precision of 16 bits, by its name in files:
        it packs those groups, or bits, as well as f32."""
        ...

    @property
    def dot(self) -> Dot:
        """The multiply-add that its products are made of."""
        ...

    def weight_shape(self, rows: int, k: int) -> Shape:
        """The shape of a packed [rows, k] matrix."""
        ...

    def pack(self, weight: Any) -> Array:
        """f32[rows, k], or what it keeps -> the packed matrix; rows and k are multiples of 32.
        Panels are packed alike whatever is packed with them."""
        ...

    def activation(self, tokens: int, k: int) -> tuple[Shape, str]:
        """Shape and dtype of the buffer for `tokens` rows of k activations."""
        ...

    def product(self, tile: RowTile, weight: Any, panel: Any, ahead: int, store: Store) -> None:
        """Emits store(row, half of the panel, vector) of the product of a tile and a panel."""
        ...

    def gather(self, weight: Any, row: Any, k: int, store: Any) -> None:
        """Emits store(index, value) for every element of one row of a packed matrix."""
        ...


class GroupFormat(Weights, Protocol):
    """Activations are stored as they come, 32 at a time."""

    def store_group(self, tile: RowTile, row: Any, group: Any, pair: Any) -> None:
        """Emits: two float32x16 = activations 32 * group .. + 31 of a row of the tile."""
        ...


@runtime_checkable
class RowFormat(Weights, Protocol):
    """Activations are rounded a row at a time, when all of it is there."""

    def store_row(self, tile: RowTile, row: Any, read: Callable[[Any], Any]) -> None:
        """Emits the storing of one row of the tile; read(lanes) -> its activations there."""
        ...


Format = GroupFormat | RowFormat
