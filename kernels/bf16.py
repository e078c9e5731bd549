"""bfloat16 as its bits, for numpy has no such type: the upper half of an f32."""

from typing import Any

import numpy as np
import numpy.typing as npt

AT_ONCE = 1 << 16
"""Numbers that are rounded together: what is between stays in a cache."""


def to_bf16(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """The bits of finite numbers, rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(values).view(np.uint32).reshape(-1)
    out = np.empty(len(bits), np.uint16)
    for first in range(0, len(bits), AT_ONCE):
        part = bits[first : first + AT_ONCE]
        rounded = part >> 16
        rounded &= 1
        rounded += 0x7FFF
        rounded += part
        rounded >>= 16
        out[first : first + AT_ONCE] = rounded
    return out.reshape(values.shape)


def from_bf16(bits: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """The numbers that bits stand for, exactly."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def bf16_above(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """The bits of the least bf16 that is no smaller; of finite numbers >= 0."""
    return ((values.view(np.uint32) + 0xFFFF) >> 16).astype(np.uint16)
