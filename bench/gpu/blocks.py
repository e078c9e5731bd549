"""Random numbers on the device, of which any amount of its memory is filled with copies: the host
makes and sends little."""

import ctypes
from typing import Literal

import numpy as np

from raylax.kernels.bf16 import to_bf16
from raylax.kernels.cuda.device.cudart import call
from raylax.kernels.cuda.device.memory import WITHIN, Array, DeviceMemory, copy, write

Kind = Literal["halves", "scales", "words"]
"""bf16 as weights are; as their scales; digits."""
SCALES = {"halves": 0.02, "scales": 0.002}
SIZE, SMALL_SIZE = 16 << 20, 8192
"""Bytes of a block."""


class Blocks:
    """A block of each kind, made when it is asked for."""

    def __init__(self, small: bool, stream: int = 0) -> None:
        """Copies are made in the order of a stream."""
        self._size, self._stream = SMALL_SIZE if small else SIZE, stream
        self._there = dict[Kind, DeviceMemory]()

    def fill(self, address: int, size: int, kind: Kind) -> None:
        """So many bytes, when what is on the stream is done."""
        block = self._block(kind)
        for at in range(0, size, self._size):
            copy(address + at, block, min(self._size, size - at), WITHIN, self._stream)

    def wait(self) -> None:
        """Until all is there."""
        call("cudaStreamSynchronize", ctypes.c_void_p(self._stream))

    def _block(self, kind: Kind) -> int:
        if kind not in self._there:
            self._there[kind] = DeviceMemory(self._size)
            write(self._there[kind].address, numbers(kind, self._size), self._stream)
        return self._there[kind].address


def numbers(kind: Kind, size: int) -> Array:
    """So many bytes of them."""
    rng = np.random.default_rng(3)
    if kind == "words":
        return rng.integers(-(2**31), 2**31, size // 4, np.int64).astype(np.int32)
    return to_bf16(rng.standard_normal(size // 2, np.float32) * np.float32(SCALES[kind]))
