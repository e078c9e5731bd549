"""Weights of 8 bits with a scale for each output channel, activations of 8 bits with one for each
token: W8A8, as https://arxiv.org/abs/2211.10438 names it (without its smoothing).

A whole row is one sum of integers, so that a product has nothing to do but multiply and add, and is
exact up to its end (law 1). It costs more precision than groups of 32.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.formats.base import Array, RowTile, Shape, Store
from raylax.kernels.cpu.rounding import check_finite
from raylax.kernels.cpu.target import CPU
from raylax.kernels.cpu.tir.dot import (
    Block,
    Sums,
    blocks,
    sums_along,
)
from raylax.kernels.cpu.tir.emit import (
    Register,
    f32,
    fma,
    intrinsic,
    lanes,
    prefetch,
    splat,
)
from raylax.kernels.cpu.tir.integers import Rounding, integer_dot
from raylax.kernels.errors import CompileError
from raylax.kernels.shards import PANEL

ZERO = 128  # of the unsigned codes
LONGEST = 1 << 16
"""The most products of a sum: LONGEST * 255 * 127 still fits an int32."""


class ChannelScaled:
    """Panels [rows / 32][1 + k / 4][32] of int32: a row of scales, then four codes in a lane.

    A tile of activations is [words][tile rows]: a row's codes, its step, and its start (what the
    unsigned weights' zero comes to).
    """

    name = "w8a8"
    dtype, keeps, ahead, tile_rows = "int32", None, 32, 8

    def __init__(self, cpu: CPU) -> None:
        self.registers, self.dot = cpu.registers, integer_dot(8, cpu)

    # Weights

    def weight_shape(self, rows: int, k: int) -> Shape:
        if k > LONGEST:
            raise CompileError(f"w8a8 sums at most {LONGEST} products, this model has rows of {k}")
        return rows // PANEL, 1 + k // 4, PANEL

    def pack(self, weight: Array) -> Array:
        rows, k = weight.shape
        scale = np.abs(weight).max(1, keepdims=True) / np.float32(127)
        check_finite(scale)
        ratio = np.divide(weight, scale, out=np.zeros_like(weight), where=scale > 0)
        codes = (np.rint(ratio) + ZERO).astype(np.uint8)
        quads = codes.reshape(rows // PANEL, PANEL, k // 4, 4).transpose(0, 2, 1, 3)
        words = np.ascontiguousarray(quads).view(np.int32).reshape(rows // PANEL, k // 4, PANEL)
        return np.concatenate([scale.view(np.int32).reshape(-1, 1, PANEL), words], 1)

    def gather(self, weight: Any, row: Any, k: int, store: Any) -> None:
        panel, lane = T.floordiv(row, PANEL), T.floormod(row, PANEL)
        scale = Register(T.reinterpret("float32", weight[panel, 0, lane]), "float32")
        with T.serial(0, k // 4) as quad:
            word = T.Bind(weight[panel, 1 + quad, lane])
            for byte in range(4):
                code = T.bitwise_and(T.shift_right(word, T.int32(byte * 8)), T.int32(0xFF))
                store(quad * 4 + byte, T.cast(code - T.int32(ZERO), "float32") * scale.get())

    # Activations

    def _words(self, k: int) -> int:
        return k // self.dot.per + 2

    def activation(self, tokens: int, k: int) -> tuple[Shape, str]:
        return (tokens * self._words(k),), "int32"

    def store_row(self, tile: RowTile, row: Any, read: Callable[[Any], Any]) -> None:
        rounding, per = Rounding(), self.dot.per
        with T.serial(0, tile.k // 16) as j:
            rounding.see(read(lanes(j * 16)))
        step = rounding.settle()
        first = tile.index * self._words(tile.k)
        total = self.dot.zero()
        with T.serial(0, tile.k // 16) as j:
            code = rounding.codes(read(lanes(j * 16)))
            total.set(total.get() + code.get())
            at = T.ramp((first + j * (16 // per)) * tile.rows + row, tile.rows, 16 // per)
            tile.buffer.store(self.dot.pack(code.get()), at)
        at = (first + tile.k // per) * tile.rows + row
        tile.buffer.store(T.reinterpret("int32", step), at)
        whole = intrinsic("int32", "llvm.vector.reduce.add", total.get())
        tile.buffer.store(whole * T.int32(self.dot.bias - ZERO), at + tile.rows)

    # Their product

    def product(self, tile: RowTile, weight: Any, panel: Any, ahead: int, store: Store) -> None:
        first = T.Bind(tile.index * self._words(tile.k))
        start = 1 + tile.first // 4

        def scalar(row: int, index: Any) -> Any:
            return tile.buffer[(first + index) * tile.rows + row]

        def column(half: int, quad: Any) -> Any:
            return weight[panel, start + quad, lanes(half * 16)]

        def fetch(half: int, quad: Any) -> None:
            if ahead:
                prefetch(weight[panel, start + quad + ahead, half * 16])

        parts = list(blocks(tile.rows, 2, self.registers))
        sums = Sums(Block(range(tile.rows), range(2)), self.dot)
        sums_along(tile.k // 4, parts, sums, column, scalar, fetch)
        for row, half, total in sums:
            step, zero = (scalar(row, tile.k // self.dot.per + i) for i in range(2))
            whole = T.cast(self.dot.finish(total, splat(zero)), "float32x16")
            scale = T.reinterpret("float32x16", weight[panel, 0, lanes(half * 16)])
            both = scale * splat(T.reinterpret("float32", step))
            # A bare product could be merged with the addition that follows it in some variants.
            store(row, half, fma(whole, both, f32(0)))
