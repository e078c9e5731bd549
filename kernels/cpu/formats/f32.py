"""f32 weights and activations: the reference that the others are measured against."""

from typing import Any

import numpy as np
from tvm.script.ir_builder import tirx as T

from raylax.kernels.cpu.formats.base import Array
from raylax.kernels.cpu.formats.dense import Dense
from raylax.kernels.cpu.target import CPU
from raylax.kernels.cpu.tir.dot import F32Dot
from raylax.kernels.shards import PANEL


class F32(Dense):
    """A lane is one weight."""

    name = "f32"
    dtype, keeps, ahead = "float32", None, 32

    def __init__(self, cpu: CPU) -> None:
        super().__init__(F32Dot(), cpu.registers)

    def pack(self, weight: Array) -> Array:
        rows, k = weight.shape
        return np.ascontiguousarray(weight.reshape(rows // PANEL, PANEL, k).transpose(0, 2, 1))

    def gather(self, weight: Any, row: Any, k: int, store: Any) -> None:
        with T.serial(0, k) as d:
            store(d, weight[T.floordiv(row, PANEL), d, T.floormod(row, PANEL)])
