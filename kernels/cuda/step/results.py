"""What a step comes to: the token of each row and its largest logit, which are copied back, and
rows of logits and states, which stay on the device until somebody wants one."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.cuda.device.memory import TO_HOST, PinnedMemory, aligned, copy, read
from raylax.kernels.cuda.device.stream import Event, Stream
from raylax.kernels.cuda.step.inputs import Ints
from raylax.kernels.model import Floats

NEAR = 64
"""Rows between two that are read together, for each read takes a way to the device and back."""
TURNS = 2
"""Pieces of pinned memory: what one step came to is read while the next one is under way."""


class StepResults:
    """Where they lie on the device, and pinned memory that they are copied to."""

    def __init__(self, values: Mapping[str, int], rows: int) -> None:
        """`values`: addresses by name; `rows`: the most of a step. Raises DeviceError."""
        self.drawn = values["drawn"]
        self._from = self.drawn, values["largest"]
        self._half = aligned(4 * rows)
        self._pinned = [PinnedMemory(2 * self._half) for _ in range(TURNS)]
        self._copied = [Event() for _ in range(TURNS)]
        self.begun = 0
        """Steps, those that failed among them: also they may have written where results lie."""

    def begin(self) -> int:
        """Number a step that is about to be put on the stream."""
        self.begun += 1
        return self.begun

    def fetch(self, number: int, rows: int, stream: Stream) -> None:
        """Copy those of the last step, of so many rows, in the order of the stream. The host goes
        on at once."""
        turn = number % TURNS
        for i, address in enumerate(self._from):
            to = self._pinned[turn].address + i * self._half
            copy(to, address, 4 * max(1, rows), TO_HOST, stream.address)
        self._copied[turn].record(stream)

    def is_done(self, number: int) -> bool:
        """Whether those of a step, one of the last `TURNS`, have come. Raises DeviceError for what
        went wrong before."""
        return self._copied[number % TURNS].is_done

    def wait(self, number: int, rows: int) -> tuple[Ints, Floats]:
        """Those of a step, one of the last `TURNS`, when they have come. Raises DeviceError."""
        assert self.begun - number < TURNS, "others have taken their place"
        turn = number % TURNS
        self._copied[turn].wait()
        drawn = self._pinned[turn].array((rows,), np.int32)
        largest = self._pinned[turn].array((rows,), np.float32, self._half)
        return drawn.copy(), largest.copy()


def rows_at(address: int, rows: Ints, width: int, stream: int) -> Floats:
    """A copy of these rows of an array f32[.., width] on a device: those that lie near to each
    other at once, with what is between them."""
    out, wanted = np.empty((len(rows), width), np.float32), np.unique(rows)
    gaps = np.flatnonzero(np.diff(wanted) > NEAR) + 1
    for some in np.split(wanted, gaps) if len(rows) else ():
        first, end = int(some[0]), int(some[-1]) + 1
        found = read(address + 4 * first * width, (end - first, width), np.float32, stream)
        here = (first <= rows) & (rows < end)
        out[here] = found[rows[here] - first]
    return out


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
