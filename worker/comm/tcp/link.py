"""The two connections between a pair of ranks."""

import socket
from contextlib import suppress
from dataclasses import dataclass
from select import POLLIN, poll

from raylax.worker.comm.sealed_socket import RankSocket

LONGEST_WORD = 1024


@dataclass(frozen=True, eq=False, slots=True)
class Link:
    """Messages travel on `data`. `control` carries the last word of a rank that ends the group, and
    ends with its process: so whoever waits for anybody learns of both."""

    own: int
    """The rank at this end."""
    rank: int
    """The one at the other."""
    data: RankSocket
    control: RankSocket

    @property
    def host(self) -> str:
        """Address of the other rank."""
        return str(self.data.getpeername()[0])

    def prepare(self) -> None:
        """Let neither connection block, nor wait to fill packets."""
        for each in (self.data, self.control):
            each.setblocking(False)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def end(self, reason: str) -> None:
        """Say why, if that can be said at once, and wake whoever waits here or there."""
        with suppress(OSError):
            self.control.send(reason.encode()[:LONGEST_WORD])
        for each in (self.data, self.control):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def last_word(self, patience_s: float) -> str | None:
        """Why the other one has ended the group, "" if it is gone without a word, else None."""
        waiting = poll()
        waiting.register(self.control, POLLIN)
        if not waiting.poll(patience_s * 1000):
            return None
        try:
            return self.control.recv(LONGEST_WORD).decode(errors="ignore")
        except OSError:
            return ""

    def close(self) -> None:
        self.data.close()
        self.control.close()
