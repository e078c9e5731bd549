"""What is copied back of every step: the token of each row, and its largest logit."""

from collections.abc import Mapping

import numpy as np

from raylax.kernels.cuda.device.memory import TO_HOST, PinnedMemory, aligned, copy
from raylax.kernels.cuda.device.stream import Event, Stream
from raylax.kernels.cuda.step.inputs import Ints
from raylax.kernels.model import Floats


class StepResults:
    """Where they lie on the device, and pinned memory that they are copied to."""

    def __init__(self, values: Mapping[str, int], rows: int) -> None:
        """`values`: addresses by name; `rows`: the most of a step. Raises DeviceError."""
        self._from = [values[name] for name in ("drawn", "largest")]
        self._half = aligned(4 * rows)
        self._pinned, self._copied = PinnedMemory(2 * self._half), Event()

    def fetch(self, rows: int, stream: Stream) -> None:
        """Copy those of so many rows, in the order of the stream. The host goes on at once."""
        for i, address in enumerate(self._from):
            to = self._pinned.address + i * self._half
            copy(to, address, 4 * max(1, rows), TO_HOST, stream.address)
        self._copied.record(stream)

    def wait(self, rows: int) -> tuple[Ints, Floats]:
        """What was fetched last, when it has come. Raises DeviceError."""
        self._copied.wait()
        drawn = self._pinned.array((rows,), np.int32)
        largest = self._pinned.array((rows,), np.float32, self._half)
        return drawn.copy(), largest.copy()
