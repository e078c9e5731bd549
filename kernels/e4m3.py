"""Floats of 8 bits, e4m3: a sign, 4 bits of exponent and 3 of mantissa, without infinities."""

from typing import Any

import numpy as np
import numpy.typing as npt

LARGEST = 448
LEAST_NORMAL = 2.0**-6
"""Below lie the multiples of 1/512."""
EXPONENTS = 127 - 7
"""float32's bias of exponents less e4m3's."""


def to_e4m3(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """The nearest of numbers up to 448, ties to even; -0 keeps its sign."""
    size = np.abs(values)
    bits = size.view(np.uint32)
    normal = ((bits + 0x7FFFF + ((bits >> 20) & 1)) >> 20) - (EXPONENTS << 3)
    codes = np.where(size < LEAST_NORMAL, np.rint(size * 512), normal).astype(np.uint8)
    codes |= (values.view(np.uint32) >> 24 & 0x80).astype(np.uint8)
    return codes


def from_e4m3(codes: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """The numbers that codes stand for, exactly; not of the two that are no numbers."""
    wide = codes.astype(np.uint32)
    return (((wide & 0x80) << 24) | ((wide & 0x7F) << 20)).view(np.float32) * np.float32(
        2.0**EXPONENTS
    )
