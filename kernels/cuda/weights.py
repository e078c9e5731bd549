"""A checkpoint's weights, one at a time, as a step on a device is given them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.bf16 import to_bf16
from raylax.kernels.checkpoints.base import Checkpoint
from raylax.kernels.cuda.library import Facts
from raylax.kernels.families import weights_of


def weights(checkpoint: Checkpoint, facts: Facts) -> Iterator[tuple[npt.NDArray[Any], str]]:
    """(values, dtype) in the order of the library; bfloat16 as its bits.

    The library's names are those of the table, of a layer with its number: `layers.3.w_o`.
    """
    table = weights_of(checkpoint.spec)
    for name, _, dtype in facts.parameters:
        *layer, own = name.removeprefix("layers.").split(".")
        values = table[own].read(checkpoint.tensor, *map(int, layer))
        yield rounded(values, dtype), dtype


def rounded(values: npt.NDArray[np.float32], dtype: str) -> npt.NDArray[Any]:
    """Values in a format's precision: to nearest, ties to even."""
    return to_bf16(values) if dtype == "bfloat16" else values.astype(dtype)
