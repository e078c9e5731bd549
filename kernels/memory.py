"""Memory as the kernels and dlpack want it: on a cache line."""

import math
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def is_aligned(array: npt.NDArray[Any]) -> bool:
    """Whether an array begins on a cache line and has no gaps."""
    return array.ctypes.data % 64 == 0 and array.flags.c_contiguous


def aligned_zeros(shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
    """An array of zeros; pages of it that nobody touches cost no memory."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype).reshape(shape)


def aligned_empty(shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
    """An array of anything."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype).reshape(shape)


def forget_files(files: Iterable[Path]) -> None:
    """Have the system keep nothing of these files in memory, but for what others have mapped."""
    for file in files:
        with suppress(OSError):
            opened = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                os.posix_fadvise(opened, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(opened)


def aligned_copy(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same numbers on a cache line."""
    copy = aligned_empty(array.shape, str(array.dtype))
    copy[...] = array
    return copy
