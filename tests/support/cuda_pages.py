"""Keys and values as bytes, by numpy: what the kernels' rounding must come to, bit for bit."""

from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.bf16 import from_bf16, to_bf16
from raylax.kernels.cuda.pages import KV, decoded

Array = npt.NDArray[Any]
FP8 = decoded(np.arange(127).astype(np.int8), "fp8")
"""What the codes from 0 to 126 stand for; 127 is NaN."""


def encoded(x: Array, kv: KV) -> tuple[Array, Array]:
    """float32 vectors [..., dim] as codes and scales [...]."""
    most = 127 if kv == "int8" else 448
    step = np.abs(x).max(-1) * np.float32(1 / most)
    inverse = np.float32(1) / np.where(step > 1e-38, step, np.float32(1))
    scaled = x * np.where(step > 1e-38, inverse, np.float32(0))[..., None]
    return (np.rint(scaled).astype(np.int8) if kv == "int8" else fp8(scaled)), step


def fp8(x: Array) -> Array:
    """The nearest of FP8, of two the even one, and the sign."""
    size = np.abs(x)
    above = np.clip(np.searchsorted(FP8, size), 1, 126)
    low, high = size - FP8[above - 1], FP8[above] - size
    up = (high < low) | ((high == low) & (above % 2 == 0))
    codes: Array = np.where(up, above, above - 1) | np.signbit(x) * 0x80
    return codes.astype(np.uint8).view(np.int8)


def narrow(x: Array, kind: Any) -> Array:
    """float32 in a model's precision; uint16 is bf16."""
    return to_bf16(x) if kind == np.uint16 else x.astype(kind)


def wide(x: Array) -> Array:
    """What is in an array of a model's precision."""
    return from_bf16(x) if x.dtype == np.uint16 else x.astype(np.float32)
