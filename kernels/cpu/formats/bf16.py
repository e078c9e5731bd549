"""bf16 weights and activations, f32 sums: VDPBF16PS, or two multiply-adds with the same bits."""

from typing import Any

import numpy as np
import numpy.typing as npt
from tvm.script.ir_builder import tirx as T

from raylax.kernels.bf16 import to_bf16
from raylax.kernels.cpu.formats.base import Array
from raylax.kernels.cpu.formats.dense import Dense
from raylax.kernels.cpu.target import CPU
from raylax.kernels.cpu.tir.dot import bf16_dot, high, low
from raylax.kernels.shards import PANEL


class BF16(Dense):
    """A lane is an int32 that holds a pair of neighbours along k."""

    dtype, ahead = "int32", 64

    def __init__(self, cpu: CPU) -> None:
        super().__init__(bf16_dot(cpu.native_bf16), cpu.registers)

    def pack(self, weight: npt.NDArray[np.float32]) -> Array:
        rows, k = weight.shape
        pairs = to_bf16(weight).reshape(rows // PANEL, PANEL, k // 2, 2).transpose(0, 2, 1, 3)
        return np.ascontiguousarray(pairs).view(np.int32).reshape(self.weight_shape(rows, k))

    def gather(self, weight: Any, row: Any, k: int, store: Any) -> None:
        with T.serial(0, k // 2) as d:
            pair = T.Bind(weight[T.floordiv(row, PANEL), d, T.floormod(row, PANEL)])
            store(d * 2, low(pair))
            store(d * 2 + 1, high(pair))
