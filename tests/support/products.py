"""Products of a weight format, compiled for any CPU, and run where something runs them."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import tvm
from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.formats.base import Array, Format, RowFormat, RowTile
from raylax.kernels.cpu.step.emitter import View
from raylax.kernels.cpu.target import CPU
from raylax.kernels.cpu.tir.emit import Register, function, imported, lanes
from raylax.kernels.memory import aligned_copy, aligned_zeros
from raylax.kernels.shards import GROUP, PANEL
from tests.support.kept import Functions, kept_functions

ROWS, K, OUT = 8, 160, 64
TILES = (1, 4, 8)
SOURCE = Path(__file__).read_text()
Floats = npt.NDArray[np.float32]
Load = Callable[[Any], Any]
F = TypeVar("F", bound=Format)


def numbers(*shape: int) -> Floats:
    return np.random.default_rng(3).standard_normal(shape, dtype=np.float32)


def emitted(fmt: Format, tile_rows: int) -> Any:
    """x[ROWS, K], packed weights -> y[ROWS, OUT], and every weight as an embedding has it."""
    name = f"run_{tile_rows}"
    with function(name) as builder:
        x = T.arg("x", T.buffer((ROWS, K), "float32"))
        packed = T.arg("w", T.buffer(fmt.weight_shape(OUT, K), fmt.dtype))
        shape, dtype = fmt.activation(ROWS, K)
        a = View(T.arg("a", T.buffer(shape, dtype)))
        y = T.arg("y", T.buffer((ROWS, OUT), "float32"))
        rows = T.arg("rows", T.buffer((OUT, K), "float32"))
        with imported(fmt.dot.code):
            with T.serial(0, ROWS) as row:
                tile, m = T.floordiv(row, tile_rows), T.floormod(row, tile_rows)
                place = RowTile(a, K, tile_rows, tile)
                if isinstance(fmt, RowFormat):
                    fmt.store_row(place, m, lambda at: x[row, at])
                else:
                    with T.serial(0, K // GROUP) as g:
                        pair = [Register(x[row, lanes(g * GROUP + half * 16)]) for half in range(2)]
                        fmt.store_group(place, m, g, pair)
            with T.serial(0, ROWS // tile_rows) as tile, T.serial(0, OUT // PANEL) as panel:

                def store(m: int, half: int, value: Any) -> None:
                    at = lanes(panel * PANEL + half * 16)
                    T.buffer_store(y, value, [tile * tile_rows + m, at])

                fmt.product(RowTile(a, K, tile_rows, tile), View(packed), panel, 0, store)
            with T.serial(0, OUT) as row:
                write = lambda d, value: T.buffer_store(rows, value, [row, d])  # noqa: E731
                fmt.gather(View(packed), row, K, write)
    return builder.get()


def functions_of(fmt: Format, tiles: Sequence[int] = TILES) -> Functions:
    """A function for every height of a tile."""
    return {f"run_{rows}": partial(emitted, fmt, rows) for rows in tiles}


class Products(Generic[F]):
    """One format on one CPU."""

    def __init__(self, name: str, fmt: F, target: CPU, store: Path, load: Load) -> None:
        self.format, facts = fmt, {"products of": name, "by": SOURCE}
        self.library = kept_functions(store, facts, target, functions_of(fmt), load)

    def run(self, x: Floats, packed: Array, tile_rows: int) -> tuple[Floats, Floats]:
        """The product with weights that were packed, and what is gathered of them."""
        y, rows = aligned_zeros((ROWS, OUT), "float32"), aligned_zeros((OUT, K), "float32")
        work = aligned_zeros(*self.format.activation(ROWS, K))
        arrays = (aligned_copy(x), aligned_copy(packed), work, y, rows)
        self.library[f"run_{tile_rows}"](*(tvm.runtime.from_dlpack(array) for array in arrays))
        return y, rows


def rounded_activations(x: Floats, group: int = GROUP) -> Floats:
    """Rows as integers to the largest magnitude of each group, times their step."""
    grouped = x.reshape(len(x), -1, group)
    step = np.abs(grouped).max(2, keepdims=True) * np.float32(1 / 127)
    inverse = np.divide(np.float32(1), step, out=np.zeros_like(step), where=step > 0)
    rounded: Floats = (np.rint(grouped * inverse) * step).reshape(x.shape)
    return rounded
