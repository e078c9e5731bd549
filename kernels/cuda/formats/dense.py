"""Weights in the precision of the activations: rows of bf16 or f16, one after the other."""

from dataclasses import dataclass

import numpy as np

from raylax.kernels.cuda.formats.base import (
    AT_ONCE,
    DTYPES,
    Floats,
    Packed,
    Precision,
    Shape,
    narrowed,
    widened,
)
from raylax.kernels.parallel import in_threads


@dataclass(frozen=True, slots=True)
class Dense:
    """`w`: [rows, depth]."""

    precision: Precision
    block: int = 16
    """A step of the matrix unit."""
    group: int = 1

    @property
    def name(self) -> str:
        """Kernels are `linear_bf16`, `gated_f16`."""
        return self.precision

    def shapes(self, rows: int, depth: int) -> dict[str, tuple[Shape, str]]:
        return {"w": ((rows, depth), DTYPES[self.precision])}

    def pack(self, weight: Floats, threads: int = 1) -> Packed:
        """Numbers that are of this precision already, as f16 or as the bits of bf16, are taken as
        they are."""
        if weight.dtype == DTYPES[self.precision]:
            return {"w": np.ascontiguousarray(weight)}
        out = np.empty(weight.shape, DTYPES[self.precision])
        step = max(1, AT_ONCE // weight.shape[1])

        def work(first: int) -> None:
            part = slice(first, first + step)
            out[part] = narrowed(weight[part], self.precision)

        in_threads(work, range(0, len(weight), step), threads, lambda _: None)
        return {"w": out}

    def unpack(self, packed: Packed, depth: int) -> Floats:
        return widened(packed["w"], self.precision)

    def erase(self, packed: Packed, first: int, count: int) -> None:
        packed["w"][:, first : first + count] = 0
