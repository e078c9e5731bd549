"""bf16 weights and activations, f32 sums: VDPBF16PS, or two multiply-adds with the same bits."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.emit import (
    bf16_high,
    bf16_low,
    bf16_pairs,
    dot_bf16,
    lanes,
    prefetch,
    splat,
    zeros,
)
from raylax.kernels.formats.base import GROUP, PANEL, Array, Shape


def to_bf16(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Rounds to nearest even; finite input."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


@dataclass(frozen=True)
class BF16:
    """Panels [rows / 32][k / 2][32] of int32, each a pair of neighbours along k."""

    native: bool
    """Whether the target has VDPBF16PS."""
    name = "q0bf16"
    kv_dtype = "bf16"
    dtype = "int32"
    ahead = 64

    def weight_shape(self, rows: int, k: int) -> Shape:
        return rows // PANEL, k // 2, PANEL

    def pack(self, weight: npt.NDArray[np.float32]) -> Array:
        rows, k = weight.shape
        pairs = to_bf16(weight).reshape(rows // PANEL, PANEL, k // 2, 2).transpose(0, 2, 1, 3)
        return np.ascontiguousarray(pairs).view(np.int32).reshape(self.weight_shape(rows, k))

    def activation(self, tokens: int, k: int) -> tuple[Shape, str]:
        return (tokens * k // 2,), "int32"

    def store_group(
        self, out: Any, k: int, tile_rows: int, tile: Any, row: Any, group: Any, pair: Any
    ) -> None:
        for i, value in enumerate(pair):
            at = (tile * (k // 2) + group * (GROUP // 2) + i * 8) * tile_rows + row
            out.store(bf16_pairs(value.get()), T.ramp(at, tile_rows, 8))

    def product(
        self, x: Any, k: int, tile_rows: int, tile: Any, weight: Any, panel: Any, ahead: int
    ) -> list[list[Any]]:
        acc = [zeros(2) for _ in range(tile_rows)]
        with T.serial(0, k // 2) as d:
            for half in range(2 if ahead else 0):
                prefetch(weight[panel, d + ahead, half * 16])
            columns = [weight[panel, d, lanes(half * 16)] for half in range(2)]
            for row in range(tile_rows):
                pair = splat(x[(tile * (k // 2) + d) * tile_rows + row])
                for half in range(2):
                    total = acc[row][half]
                    total.set(dot_bf16(total.get(), pair, columns[half], self.native))
        return acc

    def gather(self, weight: Any, row: Any, k: int, store: Any) -> None:
        with T.serial(0, k // 2) as d:
            pair = T.Bind(weight[T.floordiv(row, PANEL), d, T.floormod(row, PANEL)])
            store(d * 2, bf16_low(pair))
            store(d * 2 + 1, bf16_high(pair))
