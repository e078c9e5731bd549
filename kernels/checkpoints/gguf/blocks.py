"""Types of a GGUF file's tensors: blocks of 32 or 256 numbers, which a few scales belong to.

The numbers of a block are computed by the `gguf` package, llama.cpp's own, from a few rows at a
time: what is between stays in a cache.
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
NIBBLES, ABOVE = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0x3030303030303030)
"""Four bits of each of eight bytes, and the two above."""
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
        if kind == GGMLQuantizationType.Q6_K:
            out[first : first + step] = sixes(part)
        elif kind == GGMLQuantizationType.Q4_K:
            out[first : first + step] = fours(part)
        else:  # the package goes row by row
            out[first : first + step] = dequantize(part.reshape(1, -1), kind).reshape(-1, block)
    return out.reshape(-1, columns)


def sixes(blocks: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Q6_K, eight numbers at a time: seven times as fast, and most of what is not kept as it is.
    Of 128 numbers four bits lie in 64 bytes, and two in 32."""
    count, four, two = len(blocks), np.uint64(4), np.uint64(2)
    low = words(blocks, 0, 128).reshape(count, 2, 2, 4)
    high = words(blocks, 128, 192).reshape(count, 2, 4)
    codes = np.empty((count, 2, 4, 4), np.uint64)
    codes[:, :, :2], codes[:, :, 2:] = low & NIBBLES, low >> four & NIBBLES
    for i, bits in enumerate((high << four, high << two, high, high >> two)):
        codes[:, :, i] |= bits & ABOVE
    numbers = codes.view(np.uint8)
    numbers -= np.uint8(32)
    scales = blocks[:, 208:210].view(np.float16).astype(np.float32) * blocks[:, 192:208].view(
        np.int8
    )
    out = numbers.view(np.int8).astype(np.float32).reshape(count, 16, 16)
    out *= scales[:, :, None]
    return out.reshape(count, 256)


def fours(blocks: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Q4_K in the same way: what a Q4_K_M has beside Q6_K in a matrix is not kept as it is,
    either."""
    count, low = len(blocks), np.uint8(63)
    outer = blocks[:, :4].view(np.float16).astype(np.float32)
    first, second, third = (blocks[:, at : at + 4] for at in (4, 8, 12))
    scales, minima = np.empty((2, count, 8), np.uint8)
    scales[:, :4], minima[:, :4] = first & low, second & low
    scales[:, 4:] = third & np.uint8(15) | first >> np.uint8(6) << np.uint8(4)
    minima[:, 4:] = third >> np.uint8(4) | second >> np.uint8(6) << np.uint8(4)
    nibbles = words(blocks, 16, 144).reshape(count, 4, 4)
    codes = np.empty((count, 4, 2, 4), np.uint64)
    codes[:, :, 0], codes[:, :, 1] = nibbles & NIBBLES, nibbles >> np.uint64(4) & NIBBLES
    out = codes.view(np.uint8).astype(np.float32).reshape(count, 8, 32)
    out *= (outer[:, :1] * scales)[:, :, None]
    out -= (outer[:, 1:] * minima)[:, :, None]
    return out.reshape(count, 256)


def words(blocks: npt.NDArray[np.uint8], first: int, end: int) -> npt.NDArray[np.uint64]:
    """These bytes of each, eight in a number."""
    return np.ascontiguousarray(blocks[:, first:end].view(f"V{end - first}")).view(np.uint64)
