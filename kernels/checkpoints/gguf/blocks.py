"""Types of a GGUF file's tensors: blocks of 32 or 256 numbers, which a few scales belong to.

The numbers of a block are computed by the `gguf` package, llama.cpp's own, from a few rows at a
time: what is between stays in a cache. Who reads all of a large model has them compiled
(`kernels/cpu/blocks.py`).
"""

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

AT_ONCE = 1 << 16
"""Numbers that are computed together."""
KNOWN = (
    "F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K",
    "Q6_K", "IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS",
    "MXFP4", "TQ1_0", "TQ2_0",
)  # fmt: skip
KINDS = {int(GGMLQuantizationType[name]): GGMLQuantizationType[name] for name in KNOWN}
PLAIN: dict[str, np.dtype[Any]] = {
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(np.uint16),
}
"""What lies there number by number; of bf16 its bits."""


def kind_of(number: int) -> GGMLQuantizationType:
    """The type of this number. Raises ValueError for one that is not read here."""
    if number not in KINDS:
        raise ValueError(f"type {number} is not read; those that are: {', '.join(KNOWN)}")
    return KINDS[number]


def block_bytes(number: int) -> int:
    """Of a block of this type."""
    size: int = GGML_QUANT_SIZES[kind_of(number)][1]
    return size


def bytes_of(number: int, shape: tuple[int, ...]) -> int:
    """Of a tensor. Raises ValueError for a type that is not read, or rows that are no whole
    blocks."""
    kind = kind_of(number)
    block, size = GGML_QUANT_SIZES[kind]
    if shape[-1] % block:
        raise ValueError(f"rows of {shape[-1]} are no whole blocks of {kind.name}, {block} each")
    return prod(shape) // block * size


def decoded(content: npt.NDArray[np.uint8], number: int, columns: int) -> npt.NDArray[np.float32]:
    """f32[rows, columns] of a tensor's bytes."""
    kind = kind_of(number)
    block, size = GGML_QUANT_SIZES[kind]
    whole = np.asarray(content).reshape(-1, size)
    out = np.empty((len(whole), block), np.float32)
    step = AT_ONCE // block
    for first in range(0, len(whole), step):
        part = whole[first : first + step]
        # The package goes row by row.
        out[first : first + step] = dequantize(part.reshape(1, -1), kind).reshape(-1, block)
    return out.reshape(-1, columns)
