"""Messages on their way over links, a part at a time, in whatever order the network takes them.

A message is a header, then its bytes. `advance` does what can be done without waiting, and says
whether that was all. It raises OSError when the other rank is gone.
"""

import struct
from select import POLLIN, POLLOUT

from raylax.worker.comm.arrays import raw
from raylax.worker.comm.base import Array
from raylax.worker.comm.errors import CommError, mismatch
from raylax.worker.comm.tcp.link import Link

HEADER = struct.Struct("!qQ")
"""The number of a collective, or minus that of a message to one rank; how many bytes follow."""


class Outgoing:
    """A message that is being sent to the other end of a link."""

    EVENTS = POLLOUT

    def __init__(self, link: Link, number: int, array: Array) -> None:
        self.link = link
        self.omission = omission("take", number)
        payload = raw(array).data
        self._left = [memoryview(HEADER.pack(number, payload.nbytes)), payload]

    def advance(self) -> bool:
        while self._left:
            try:
                sent = self.link.data.sendmsg(self._left)
            except BlockingIOError:
                return False
            self._left = rest(self._left, sent)
        return True


class Incoming:
    """A message that is expected from the other end of a link, read into its array."""

    EVENTS = POLLIN

    def __init__(self, link: Link, number: int, array: Array) -> None:
        self.link = link
        self.omission = omission("send", number)
        self._number, self._size, self._read = number, array.nbytes, 0
        self._header = bytearray(HEADER.size)
        self._left = [memoryview(self._header), raw(array).data]

    def advance(self) -> bool:
        """Raises CommError when the message is another one."""
        while self._left:
            try:
                count = self.link.data.recvmsg_into(self._left)[0]
            except BlockingIOError:
                return False
            if not count:
                raise ConnectionResetError
            self._left = rest(self._left, count)
            self._read += count
            if self._read >= HEADER.size > self._read - count:
                self._check()
        return True

    def _check(self) -> None:
        number, size = HEADER.unpack(self._header)
        rank, own = self.link.rank, self.link.own
        if number != self._number:
            expected = did(self._number)
            raise CommError(
                f"rank {rank} {did(number)} before it {expected}, as rank {own} expects"
            )
        if size != self._size:
            raise mismatch(rank, did(number), size, own, self._size)


def did(number: int) -> str:
    """What a rank that sent this number has done, for messages of errors."""
    return f"came to collective {number}" if number > 0 else f"sent message {-number}"


def omission(action: str, number: int) -> str:
    """What a rank that was waited for has not done, for messages of errors."""
    return (
        f"did not come to collective {number}"
        if number > 0
        else f"did not {action} message {-number}"
    )


def rest(views: list[memoryview], done: int) -> list[memoryview]:
    """What is left of these views after so many bytes."""
    for at, view in enumerate(views):
        if done < view.nbytes:
            return [view[done:], *views[at + 1 :]]
        done -= view.nbytes
    return []
