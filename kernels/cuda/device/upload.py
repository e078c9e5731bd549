"""From the host's memory to a device's, by way of pinned memory that is used in turns: the next
piece is read, from a mapped file perhaps, while the one before is on its way."""

import numpy as np
import numpy.typing as npt

from raylax.kernels.cuda.device.memory import TO_DEVICE, Array, DeviceMemory, PinnedMemory, copy
from raylax.kernels.cuda.device.stream import Event, Stream

PIECE = 16 << 20
TURNS = 2


class Upload:
    """Copies arrays to new memory of a device."""

    def __init__(self, stream: Stream) -> None:
        """Raises DeviceError where there is no pinned memory to be had."""
        self._stream = stream
        self._pinned = [PinnedMemory(PIECE) for _ in range(TURNS)]
        self._events: list[Event | None] = [None] * TURNS
        self._turn = 0

    def put(self, array: Array) -> DeviceMemory:
        """Its bytes on the device, when what is on the stream is done. Raises DeviceError."""
        memory = DeviceMemory(array.nbytes)
        self.fill(memory.address, array)
        return memory

    def fill(self, address: int, array: Array) -> None:
        """The same, to memory that is there."""
        whole = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        for first in range(0, whole.nbytes, PIECE):
            self._send(whole[first : first + PIECE], address + first)

    def _send(self, piece: npt.NDArray[np.uint8], address: int) -> None:
        self._turn = (self._turn + 1) % TURNS
        if (event := self._events[self._turn]) is None:
            event = self._events[self._turn] = Event()
        else:
            event.wait()
        pinned = self._pinned[self._turn]
        pinned.array(piece.shape, np.uint8)[:] = piece
        copy(address, pinned.address, piece.nbytes, TO_DEVICE, self._stream.address)
        event.record(self._stream)
