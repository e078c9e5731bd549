"""What a step is given: numbers in pinned memory, which one copy takes to where kernels look."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from raylax.kernels.cuda.device.memory import (
    TO_DEVICE,
    DeviceMemory,
    PinnedMemory,
    aligned,
    copy,
)
from raylax.kernels.cuda.device.stream import Event, Stream

Ints = npt.NDArray[np.int32]
Array = npt.NDArray[Any]
TURNS = 2
"""Pieces of pinned memory: one is written while the copy of the other may still be under way."""


class Field(NamedTuple):
    """A field of the inputs: [rows, columns] at most."""

    rows: int
    columns: int = 1
    dtype: type[np.generic] = np.int32

    @property
    def row_bytes(self) -> int:
        return np.dtype(self.dtype).itemsize * self.columns

    @property
    def size(self) -> int:
        """Bytes that are set aside for it."""
        return aligned(self.rows * self.row_bytes)


class StepInputs(dict[str, int]):
    """The address of each field on the device. They lie one behind the other, here and on the host,
    and what is copied ends with what was written: so the longest come last."""

    def __init__(self, fields: Mapping[str, Field]) -> None:
        """Raises DeviceError where there is not so much memory."""
        self._fields = fields
        self._device = DeviceMemory(sum(field.size for field in fields.values()))
        self._offsets, end = dict[str, int](), 0
        for name, field in fields.items():
            self[name], self._offsets[name] = self._device.address + end, end
            end += field.size
        self._pinned = [PinnedMemory(end) for _ in range(TURNS)]
        self._views = [
            {
                name: pinned.array((field.rows, field.columns), field.dtype, self._offsets[name])
                for name, field in fields.items()
            }
            for pinned in self._pinned
        ]
        self._copied: list[Event | None] = [None] * TURNS
        self._turn = 0

    def views(self) -> dict[str, Array]:
        """Where the next step's fields are to be written, before `send`."""
        self._turn = (self._turn + 1) % TURNS
        if (copied := self._copied[self._turn]) is not None:
            copied.wait()  # done, unless the device is two steps behind
        return self._views[self._turn]

    def send(self, used: Mapping[str, int], stream: Stream) -> None:
        """Copy what was written, in the order of the stream. `used`: how many rows of the last
        fields, one behind the other. The host goes on at once."""
        pinned, start = self._pinned[self._turn].address, 0
        for name, rows in used.items():
            end = self._offsets[name] + rows * self._fields[name].row_bytes
            address = self._device.address + start
            copy(address, pinned + start, end - start, TO_DEVICE, stream.address)
            start = self._offsets[name] + self._fields[name].size
        if (copied := self._copied[self._turn]) is None:
            copied = self._copied[self._turn] = Event()
        copied.record(stream)
