"""All pages of a model on a device, and how one comes to the host and back: by pinned memory, its
layers' pieces one behind the other, and a wait at the end."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from raylax.kernels.cuda.device.memory import (
    TO_DEVICE,
    TO_HOST,
    DeviceMemory,
    PinnedMemory,
    copy,
)
from raylax.kernels.cuda.device.stream import Stream
from raylax.kernels.cuda.pages import PageLayout

Bytes = npt.NDArray[np.uint8]


class DevicePages:
    """Keys and values of a model, or of a rank's layers and heads."""

    def __init__(self, layout: PageLayout, pages: int, stream: Stream) -> None:
        """Raises DeviceError where there is not so much memory."""
        self.layout, self._stream = layout, stream
        self._sizes = layout.layer_bytes
        self._memory = [
            tuple(DeviceMemory(max(1, size * pages)) for size in self._sizes)
            for _ in range(layout.layers)
        ]
        self._pinned = PinnedMemory(layout.page_bytes)
        kept, first = (layout.layers, 2, layout.kv_heads), layout.layers * self._sizes[0]
        self._numbers, self._scales = (
            self._pinned.array((*kept, size // (2 * layout.kv_heads)), np.uint8, at)
            for size, at in zip(self._sizes, (0, first), strict=True)
        )

    @property
    def addresses(self) -> list[tuple[int, int]]:
        """Where the numbers of each layer lie, and their scales."""
        return [(numbers.address, scales.address) for numbers, scales in self._memory]

    def read(self, page: int) -> bytes:
        """Of each layer the keys of all heads, then their values: of a head its numbers, and then
        their scales if they have any."""
        for here, there, size in self._pieces(page):
            copy(here, there, size, TO_HOST, self._stream.address)
        self._stream.wait()
        return np.concatenate([self._numbers, self._scales], axis=-1).tobytes()

    def write(self, page: int, content: bytes) -> None:
        """What `read` gave. Raises ValueError if it is not of this size."""
        if len(content) != (size := self.layout.page_bytes):
            raise ValueError(f"a page of this model has {size} bytes, found {len(content)}")
        kept, width = self._numbers.shape[:-1], self._numbers.shape[-1]
        whole = np.frombuffer(content, np.uint8).reshape(*kept, -1)
        self._numbers[:], self._scales[:] = whole[..., :width], whole[..., width:]
        for here, there, count in self._pieces(page):
            copy(there, here, count, TO_DEVICE, self._stream.address)
        self._stream.wait()

    def _pieces(self, page: int) -> Iterator[tuple[int, int, int]]:
        """Where each piece of a page lies on the host and on the device, and its bytes."""
        here = self._pinned.address
        for part, size in enumerate(self._sizes):
            for layer in self._memory if size else ():
                yield here, layer[part].address + page * size, size
                here += size
