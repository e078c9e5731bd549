"""bf16 weights and activations, f32 sums: VDPBF16PS, or two multiply-adds with the same bits."""

from typing import Any

import numpy as np
from tvm.script.ir_builder import tirx as T

from raylax.kernels.bf16 import to_bf16
from raylax.kernels.cpu.formats.base import Array
from raylax.kernels.cpu.formats.dense import Dense
from raylax.kernels.cpu.target import CPU
from raylax.kernels.cpu.tir.dot import bf16_dot, high, low
from raylax.kernels.shards import PANEL


class BF16(Dense):
    """A lane is an int32 that holds a pair of neighbours along k."""

    name = "bf16"
    dtype, keeps, ahead = "int32", "bfloat16", 64

    def __init__(self, cpu: CPU) -> None:
        super().__init__(bf16_dot(cpu.fast_bf16), cpu.registers)

    def pack(self, weight: Array) -> Array:
        """Of f32, or of the bits of bf16."""
        rows, k = weight.shape
        bits = np.ascontiguousarray(weight) if weight.dtype == np.uint16 else to_bf16(weight)
        pairs = bits.view(np.int32).reshape(rows // PANEL, PANEL, k // 2)
        return np.ascontiguousarray(pairs.transpose(0, 2, 1))

    def gather(self, weight: Any, row: Any, k: int, store: Any) -> None:
        with T.serial(0, k // 2) as d:
            pair = T.Bind(weight[T.floordiv(row, PANEL), d, T.floormod(row, PANEL)])
            store(d * 2, low(pair))
            store(d * 2 + 1, high(pair))
