"""What a weight format of a GPU has to say: how a matrix lies in device memory, and its products.

A matrix is packed once, on the host, into a few arrays; which kernels multiply it says a name. What
they multiply is what `unpack` gives, bit for bit, in the activations' own precision.
"""

from math import prod
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from raylax.kernels.bf16 import from_bf16, to_bf16
from raylax.kernels.cpu.rounding import to_f16
from raylax.kernels.errors import CompileError

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Packed = dict[str, Array]
Shape = tuple[int, ...]
Precision = Literal["bf16", "f16"]
DTYPES: dict[Precision, str] = {"bf16": "uint16", "f16": "float16"}
"""Of activations and of what is kept in their precision; numpy has bf16's bits only."""
AT_ONCE = 1 << 18
"""Weights that are packed together: what is between stays in a cache."""


class Format(Protocol):
    """A way to keep weights. A matrix has rows (features) of `depth` inputs."""

    @property
    def name(self) -> str:
        """As in the names of its kernels: `linear_NAME`, `gated_NAME`."""
        ...

    @property
    def precision(self) -> Precision:
        """Of the activations that it is multiplied by."""
        ...

    @property
    def block(self) -> int:
        """Shards and segments of the inputs begin at multiples of this."""
        ...

    @property
    def group(self) -> int:
        """Inputs that are erased, and shared out among ranks, together."""
        ...

    def shapes(self, rows: int, depth: int) -> dict[str, tuple[Shape, str]]:
        """The packed arrays in the order of the kernels' arguments: shape and numpy's dtype."""
        ...

    def pack(self, weight: Floats, threads: int = 1) -> Packed:
        """f32[rows, depth] as those arrays. Raises CompileError for numbers that do not fit."""
        ...

    def unpack(self, packed: Packed, depth: int) -> Floats:
        """What the kernels multiply."""
        ...

    def erase(self, packed: Packed, first: int, count: int) -> None:
        """Makes the weights of these inputs zeros, in place. Raises CompileError for a part of a
        group."""
        ...


def size(form: Format, rows: int, depth: int) -> int:
    """Bytes of a packed matrix."""
    shapes = form.shapes(rows, depth).values()
    return sum(prod(shape) * np.dtype(dtype).itemsize for shape, dtype in shapes)


def check_start(form: Format, first: int) -> None:
    """Raises CompileError for a cut along the inputs that does not begin with a block."""
    if first % form.block:
        raise CompileError(
            f"a cut along the inputs of {form.name} weights must begin at a multiple of "
            f"{form.block}, found {first}; take fewer tensor_parallel_shards"
        )


def narrowed(values: Floats, precision: Precision) -> Array:
    """To nearest, ties to even. Raises CompileError where they become infinite."""
    return to_bf16(values) if precision == "bf16" else to_f16(values)


def widened(values: Array, precision: Precision) -> Floats:
    """What `narrowed` numbers are."""
    return from_bf16(values) if precision == "bf16" else values.astype(np.float32)
