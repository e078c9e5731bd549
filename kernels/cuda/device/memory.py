"""Memory on a device, and pinned memory of the host, which copies reach without waiting."""

import ctypes
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.cuda.device.cudart import call, library, made

Array = npt.NDArray[Any]
TO_DEVICE, TO_HOST, WITHIN = 1, 2, 3  # cudaMemcpyHostToDevice and so on
ALIGNMENT = 256
"""Of what lies in one piece of memory: more than any load of a kernel asks for."""
BLOCK = 2 << 20
"""In which CUDA takes memory of a device."""


def aligned(size: int) -> int:
    """A size up to where the next thing may begin."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def allocated(size: int) -> int:
    """What CUDA sets aside for a piece of so many bytes: small ones share its blocks."""
    unit = BLOCK if size > BLOCK // 2 else 2 * ALIGNMENT
    return -(-size // unit) * unit


class DeviceMemory:
    """A piece of a device's memory, given back when nobody has it any more."""

    def __init__(self, size: int) -> None:
        """Raises DeviceError, with the sizes, when there is not so much."""
        self.size = size
        self.address = made("cudaMalloc", ctypes.c_size_t(size)).value or 0
        self.free = weakref.finalize(self, library().cudaFree, ctypes.c_void_p(self.address))

    def fill(self, value: int, stream: int = 0) -> None:
        """Every byte becomes this one."""
        call(
            "cudaMemsetAsync",
            ctypes.c_void_p(self.address),
            value,
            ctypes.c_size_t(self.size),
            ctypes.c_void_p(stream),
        )


class PinnedMemory:
    """A piece of the host's memory that stays where it is."""

    def __init__(self, size: int) -> None:
        """Raises DeviceError when the host has not so much."""
        self.size = size
        self.address = made("cudaMallocHost", ctypes.c_size_t(size)).value or 0
        self.free = weakref.finalize(self, library().cudaFreeHost, ctypes.c_void_p(self.address))

    def array(self, shape: tuple[int, ...], dtype: Any, offset: int = 0) -> Array:
        """It as an array, from a byte on; valid as long as this is."""
        count = int(np.prod(shape)) * np.dtype(dtype).itemsize
        assert offset + count <= self.size
        bits = (ctypes.c_char * count).from_address(self.address + offset)
        return np.frombuffer(bits, dtype).reshape(shape)


def copy(to: int, source: int, size: int, kind: int, stream: int) -> None:
    """Copy bytes, in the order of the stream; the host goes on at once where its memory is
    pinned."""
    call(
        "cudaMemcpyAsync",
        ctypes.c_void_p(to),
        ctypes.c_void_p(source),
        ctypes.c_size_t(size),
        kind,
        ctypes.c_void_p(stream),
    )


def copy_rows(to: int, stride: int, source: int, width: int, rows: int, stream: int) -> None:
    """Copy rows of `width` bytes, which lie one behind the other, to where they are so many bytes
    apart. Within the device's memory, so it can be captured."""
    call(
        "cudaMemcpy2DAsync",
        ctypes.c_void_p(to),
        ctypes.c_size_t(stride),
        ctypes.c_void_p(source),
        *(ctypes.c_size_t(width), ctypes.c_size_t(width), ctypes.c_size_t(rows)),
        WITHIN,
        ctypes.c_void_p(stream),
    )


def read(address: int, shape: tuple[int, ...], dtype: Any, stream: int) -> Array:
    """A copy of an array of the device, when everything before it on the stream is done."""
    out = np.empty(shape, dtype)
    copy(out.ctypes.data, address, out.nbytes, TO_HOST, stream)
    call("cudaStreamSynchronize", ctypes.c_void_p(stream))
    return out


def write(address: int, array: Array, stream: int) -> None:
    """An array to the device; it has been read when this returns."""
    whole = np.ascontiguousarray(array)
    copy(address, whole.ctypes.data, whole.nbytes, TO_DEVICE, stream)
    call("cudaStreamSynchronize", ctypes.c_void_p(stream))
