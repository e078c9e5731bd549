"""f32 weights and activations: the reference that the others are measured against."""

from typing import Any

import numpy as np
import numpy.typing as npt
from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.emit import fma, lanes, prefetch, splat, zeros
from raylax.kernels.formats.base import GROUP, PANEL, Array, Shape


class F32:
    """Panels [rows / 32][k][32]."""

    name, kv_dtype, dtype, ahead = "q0f32", "f32", "float32", 32

    def weight_shape(self, rows: int, k: int) -> Shape:
        return rows // PANEL, k, PANEL

    def pack(self, weight: npt.NDArray[np.float32]) -> Array:
        rows, k = weight.shape
        return np.ascontiguousarray(weight.reshape(rows // PANEL, PANEL, k).transpose(0, 2, 1))

    def activation(self, tokens: int, k: int) -> tuple[Shape, str]:
        return (tokens * k,), "float32"

    def store_group(
        self, out: Any, k: int, tile_rows: int, tile: Any, row: Any, group: Any, pair: Any
    ) -> None:
        for i, value in enumerate(pair):
            at = (tile * k + group * GROUP + i * 16) * tile_rows + row
            out.store(value.get(), T.ramp(at, tile_rows, 16))

    def product(
        self, x: Any, k: int, tile_rows: int, tile: Any, weight: Any, panel: Any, ahead: int
    ) -> list[list[Any]]:
        acc = [zeros(2) for _ in range(tile_rows)]
        with T.serial(0, k) as d:
            for half in range(2 if ahead else 0):
                prefetch(weight[panel, d + ahead, half * 16])
            columns = [weight[panel, d, lanes(half * 16)] for half in range(2)]
            for row in range(tile_rows):
                value = splat(x[(tile * k + d) * tile_rows + row])
                for half in range(2):
                    acc[row][half].set(fma(value, columns[half], acc[row][half].get()))
        return acc

    def gather(self, weight: Any, row: Any, k: int, store: Any) -> None:
        with T.serial(0, k) as d:
            store(d, weight[T.floordiv(row, PANEL), d, T.floormod(row, PANEL)])
