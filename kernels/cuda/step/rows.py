"""Rows of a step's output, which stay on the device until somebody wants one."""

from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.cuda.device.memory import read

Floats = npt.NDArray[np.float32]


class DeviceRows:
    """f32[rows, width] on a device, valid until the next step. A row is copied when it is asked
    for: of a batch of greedy answers nobody wants any, and a row may be half a megabyte."""

    def __init__(self, address: int, rows: int, width: int, stride: int, stream: int) -> None:
        """`stride`: from one row to the next, in numbers."""
        self._address, self._stream, self.shape = address, stream, (rows, width)
        self._stride = stride

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, row: int) -> Floats:
        rows, width = self.shape
        if not 0 <= row < rows:
            raise IndexError(f"row {row} of {rows}")
        return read(self._address + 4 * row * self._stride, (width,), np.float32, self._stream)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """All of them, as numpy asks for it."""
        rows, width = self.shape
        whole = read(self._address, (rows, self._stride), np.float32, self._stream)
        return whole[:, :width].astype(dtype or np.float32)
