"""f16 weights, f32 activations and sums: weights are widened where they are multiplied."""

from typing import Any

import numpy as np
from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.formats.base import Array
from raylax.kernels.cpu.formats.dense import Dense
from raylax.kernels.cpu.rounding import to_f16
from raylax.kernels.cpu.target import CPU
from raylax.kernels.cpu.tir.dot import F16Dot
from raylax.kernels.cpu.tir.halves import f16_at
from raylax.kernels.shards import PANEL


class F16(Dense):
    """A row of a panel is 16 int32, each with the weights of two outputs."""

    name = "f16"
    dtype, keeps, ahead = "int32", "float16", 96
    words = PANEL // 2

    def __init__(self, cpu: CPU) -> None:
        super().__init__(F16Dot(cpu.native_f16), cpu.registers)

    def pack(self, weight: Array) -> Array:
        """Of f32, or of f16. Raises CompileError for what is too large."""
        rows, k = weight.shape
        halves = weight if weight.dtype == np.float16 else to_f16(weight)
        panels = halves.view(np.uint16).reshape(rows // PANEL, PANEL, k).transpose(0, 2, 1)
        return np.ascontiguousarray(panels).view(np.int32)

    def gather(self, weight: Any, row: Any, k: int, store: Any) -> None:
        panel, lane = T.floordiv(row, PANEL), T.floormod(row, PANEL)
        with T.serial(0, k) as d:
            store(d, f16_at(lambda word: weight[panel, d, word], 0, lane))
