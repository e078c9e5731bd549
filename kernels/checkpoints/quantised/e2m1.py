"""Floats of 4 bits, e2m1: a sign, 2 bits of exponent and one of mantissa
(https://arxiv.org/abs/2310.10537)."""

import numpy as np
import numpy.typing as npt

E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)
"""What codes stand for."""
LARGEST_CODE = 7
EXPONENTS = 127 - 1
"""float32's bias of exponents less e2m1's."""


def to_e2m1(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """The nearest of any numbers, ties to even; what is larger than 6 becomes that, and -0 keeps
    its sign."""
    size = np.abs(values)
    bits = size.view(np.uint32)
    normal = ((bits + 0x1FFFFF + ((bits >> 22) & 1)) >> 22) - (EXPONENTS << 1)
    small = np.rint(size * 2)
    codes = np.where(size < 1, small, np.minimum(normal, LARGEST_CODE)).astype(np.uint8)
    signs = values.view(np.uint32) >> 28 & 0x8
    return np.asarray(codes | signs, np.uint8)
