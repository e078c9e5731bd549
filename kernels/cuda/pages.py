"""How keys and values lie on a device: the one place that knows.

A layer has codes[page, keys | values, kv head, 16 tokens, dim], numbers of the model's precision or
bytes, and where they are bytes scales[page, keys | values, kv head, 16 tokens] of float32 beside
them. A scale is of one token and head, as on the CPU: one for a page would change with what is
appended to it (law 1). It is a float32, for a float16 has too few exponents: the scale of a vector
below 0.008 is subnormal there, and below 8e-6 nothing.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from raylax.kernels.options import PAGE_SIZE

KV = Literal["plain", "int8", "fp8"]
"""plain: of the model's precision; int8: -127..127; fp8: e4m3, of which 448 is the largest."""
FORMATS: dict[KV, int] = {"plain": 0, "int8": 1, "fp8": 2}
"""As kernels know them."""


@dataclass(frozen=True, slots=True)
class PageLayout:
    """Of the keys and values of one model, or of a rank's heads of it."""

    layers: int
    kv_heads: int
    dim: int
    kv: KV

    @property
    def has_scales(self) -> bool:
        """Whether numbers are bytes, and have scales."""
        return self.kv != "plain"

    def codes(self, pages: int) -> tuple[int, int, int, int, int]:
        """Shape of a layer's numbers."""
        return pages, 2, self.kv_heads, PAGE_SIZE, self.dim

    def scales(self, pages: int) -> tuple[int, int, int, int]:
        """Shape of a layer's scales, if it has any."""
        return pages, 2, self.kv_heads, PAGE_SIZE

    @property
    def layer_bytes(self) -> tuple[int, int]:
        """Of a page in one layer: of its numbers, and of its scales."""
        vectors = 2 * self.kv_heads * PAGE_SIZE
        return (vectors * self.dim, vectors * 4) if self.has_scales else (vectors * self.dim * 2, 0)

    @property
    def page_bytes(self) -> int:
        """Of a page in all layers."""
        return self.layers * sum(self.layer_bytes)


def decoded(codes: npt.NDArray[np.int8], kv: KV) -> npt.NDArray[np.float32]:
    """The numbers that bytes stand for, before their scale."""
    if kv == "int8":
        return codes.astype(np.float32)
    bits = codes.astype(np.int16)
    halves = ((bits & 0x7F) << 7 | bits & np.int16(-0x8000)).view(np.float16)
    return halves.astype(np.float32) * 256
