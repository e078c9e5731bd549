"""What one rank sends to another: chunks, two of which fit at a time.

Each side has an object of its own, which counts the chunks that it has put or taken. Lines are as
in `layout.py`: the sender writes the first one, the receiver the second.
"""

from collections.abc import Sequence

import numpy as np

from raylax.worker.comm.base import Array
from raylax.worker.comm.shared_memory.layout import LINE, WORD

SLOTS = 2


class Mailbox:
    """One side's view of what one rank sends to another."""

    messages = 0
    """How many messages have begun so far: errors name them by number."""

    def __init__(self, words: memoryview, offset: int, slots: Sequence[Array]) -> None:
        self._words, self._slots = words, slots
        self._put, self._taken = offset // WORD, (offset + LINE) // WORD
        self._next = 1

    @property
    def has_room(self) -> bool:
        return self._next - self._words[self._taken] <= SLOTS

    @property
    def has_mail(self) -> bool:
        return self._words[self._put] >= self._next

    @property
    def size(self) -> int:
        """Bytes of the message that the next chunk, which has come, is a part of."""
        return self._words[self._put + 1 + self._next % SLOTS]

    def put(self, chunk: Array, size: int) -> None:
        """Send a chunk of a message of `size` bytes; there must be room."""
        np.copyto(self._slots[self._next % SLOTS][: chunk.size], chunk)
        self._words[self._put + 1 + self._next % SLOTS] = size
        self._words[self._put] = self._next
        self._next += 1

    def take(self, chunk: Array) -> None:
        """Receive the next chunk, which must have come, into this one."""
        np.copyto(chunk, self._slots[self._next % SLOTS][: chunk.size])
        self._words[self._taken] = self._next
        self._next += 1
