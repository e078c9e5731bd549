"""bfloat16 as its bits, for numpy has no such type: the upper half of an f32."""

from typing import Any

import numpy as np
import numpy.typing as npt


def to_bf16(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """The bits of finite numbers, rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(bits: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """The numbers that bits stand for, exactly."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def bf16_above(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """The bits of the least bf16 that is no smaller; of finite numbers >= 0."""
    return ((values.view(np.uint32) + 0xFFFF) >> 16).astype(np.uint16)
