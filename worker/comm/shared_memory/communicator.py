"""Ranks that share memory: an allreduce is one meeting, and W−1 sums of a chunk by numpy.

Whose memory it is does not matter here: see `threads.py` and `segment.py`. Data is double-buffered:
what a rank brings to a meeting is overwritten two meetings later, when all have come to the one
between, hence have read it.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from raylax.worker.comm.arrays import add_in_order, check_parts, check_peer, flat, raw
from raylax.worker.comm.base import Array
from raylax.worker.comm.errors import CLOSED, CommAborted, CommError, CommTimeout, mismatch
from raylax.worker.comm.shared_memory.layout import REASON, WORD, layout_in
from raylax.worker.comm.shared_memory.mailbox import SLOTS, Mailbox
from raylax.worker.comm.spin_wait import wait_until

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CAPACITY = 1 << 20
"""Bytes of a chunk, where nobody asks for another size."""
NOTHING: Array = np.empty(0, np.uint8)


class MemoryCommunicator:
    """A `Communicator` over memory that all ranks share."""

    def __init__(self, memory: "WriteableBuffer", rank: int, world: int, timeout_s: float) -> None:
        """`memory`: `segment_bytes(world, capacity)` bytes, the same for all ranks, zeros at
        first."""
        self.rank, self.world = rank, world
        self._timeout_s = timeout_s
        self._memory = memoryview(memory).cast("B")
        self._layout = layout_in(self._memory.nbytes, world)
        self._words = self._memory[: self._layout.data].cast("q")
        self._lines = [self._layout.rank_line(each) // WORD for each in range(world)]
        self._rows: dict[np.dtype[Any], list[list[Array]]] = {}
        others = [each for each in range(world) if each != rank]
        self._outboxes = {other: self._box(rank, other) for other in others}
        self._inboxes = {other: self._box(other, rank) for other in others}
        self._collective = self._meeting = 0
        self._closed = False
        self._end = threading.Lock()

    def allreduce(self, array: Array) -> None:
        everything = flat(array)
        self._collective += 1
        for chunk in self._chunks(everything):
            add_in_order(self._meet(chunk, everything.nbytes), out=chunk)

    def allgather(self, parts: Sequence[Array]) -> None:
        check_parts(parts, self.rank, self.world)
        self._collective += 1
        size = parts[self.rank].nbytes
        for chunks in zip(*(self._chunks(raw(part)) for part in parts), strict=True):
            rows = self._meet(chunks[self.rank], size)
            for other in self._inboxes:
                np.copyto(chunks[other], rows[other])

    def broadcast(self, array: Array, root: int = 0) -> None:
        check_peer(root, self.world)
        self._collective += 1
        for chunk in self._chunks(raw(array)):
            rows = self._meet(chunk, array.nbytes, brings=self.rank == root)
            if self.rank != root:
                np.copyto(chunk, rows[root])

    def barrier(self) -> None:
        self._collective += 1
        self._meet(NOTHING, 0)

    def send(self, array: Array, to: int) -> None:
        check_peer(to, self.world, self.rank)
        self._check()
        box = self._outboxes[to]
        box.messages += 1
        for chunk in self._chunks(raw(array)):
            if late := self._wait(lambda: () if box.has_room else (to,)):
                self._too_late(late, f"did not take message {box.messages}")
            box.put(chunk, array.nbytes)

    def recv(self, array: Array, source: int) -> None:
        check_peer(source, self.world, self.rank)
        self._check()
        box = self._inboxes[source]
        box.messages += 1
        for chunk in self._chunks(raw(array)):
            if late := self._wait(lambda: () if box.has_mail else (source,)):
                self._too_late(late, f"did not send message {box.messages}")
            if box.size != array.nbytes:
                sent = f"sent message {box.messages}"
                self._fail(mismatch(source, sent, box.size, self.rank, array.nbytes))
            box.take(chunk)

    def abort(self, reason: str) -> None:
        with self._end:
            if self._closed or self._words[0]:
                return
            text, at = reason.encode()[: REASON - WORD], self._layout.reason(self.rank)
            self._memory[at + WORD : at + WORD + len(text)] = text
            self._words[at // WORD] = len(text)
            self._words[0] = 1 + self.rank

    def close(self) -> None:
        """Let the memory go. No view of it is left once no call of this rank is on any stack."""
        with self._end:
            if not self._closed:
                self._closed = True
                self._rows.clear()
                self._outboxes.clear()
                self._inboxes.clear()
                del self._words, self._memory

    def _meet(self, chunk: Array, size: int, brings: bool = True) -> list[Array]:
        """Come to the next meeting, with a chunk of `size` bytes; what each rank brought there."""
        self._check()
        self._meeting += 1
        number, half, words, lines = self._meeting, self._meeting % 2, self._words, self._lines
        rows = [row[: chunk.size] for row in self._rows_of(chunk.dtype)[half]]
        if brings:
            np.copyto(rows[self.rank], chunk)
        words[lines[self.rank] + 1 + half] = size
        words[lines[self.rank]] = number
        if late := self._wait(lambda: [r for r, line in enumerate(lines) if words[line] < number]):
            self._too_late(late, f"did not come to collective {self._collective}")
        for rank, line in enumerate(lines):
            if words[line + 1 + half] != size:
                came = f"came to collective {self._collective}"
                self._fail(mismatch(rank, came, words[line + 1 + half], self.rank, size))
        return rows

    def _wait(self, missing: Callable[[], Sequence[int]]) -> Sequence[int]:
        """Until no rank is missing. Those who still are when it is too late."""

        def over() -> bool:
            self._check()
            return not missing()

        if not missing() or wait_until(over, self._timeout_s):
            return ()
        return missing()

    def _too_late(self, ranks: Sequence[int], omission: str) -> NoReturn:
        self._fail(CommTimeout(ranks, omission, self._timeout_s))

    def _fail(self, error: CommError) -> NoReturn:
        """The others learn of it from us."""
        self.abort(str(error))
        raise error

    def _check(self) -> None:
        if self._closed:
            raise CommError(CLOSED)
        if culprit := self._words[0]:
            at = self._layout.reason(culprit - 1)
            text = self._memory[at + WORD : at + WORD + self._words[at // WORD]]
            raise CommAborted(bytes(text).decode(errors="ignore"))

    def _chunks(self, array: Array) -> Iterator[Array]:
        """At least one, so that empty arrays meet, too."""
        step = self._layout.capacity // array.itemsize
        for start in range(0, max(array.size, 1), step):
            yield array[start : start + step]

    def _rows_of(self, dtype: np.dtype[Any]) -> list[list[Array]]:
        """What each rank brings to even and odd meetings."""
        if dtype not in self._rows:
            count = self._layout.capacity // dtype.itemsize
            self._rows[dtype] = [
                [
                    np.frombuffer(self._memory, dtype, count, self._layout.row(half, rank))
                    for rank in range(self.world)
                ]
                for half in range(2)
            ]
        return self._rows[dtype]

    def _box(self, source: int, to: int) -> Mailbox:
        layout = self._layout
        slots = [
            np.frombuffer(self._memory, np.uint8, layout.capacity, layout.slot(source, to, half))
            for half in range(SLOTS)
        ]
        return Mailbox(self._words, layout.box_line(source, to), slots)
