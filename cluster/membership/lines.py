"""Lines of text over a connection, each bounded."""

import socket
import ssl

LONGEST = 1 << 20
"""Bytes of a line: what is told of a hundred models is a tenth of it."""
ASK_AFTER_S, ASK_EVERY_S, ASKED = 5, 2, 3
"""A machine whose cable was pulled is silent: so it is asked, by the kernel."""


class Lines:
    """Of one connection. Used by one thread."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._rest = b""

    def write(self, line: str) -> None:
        """Raises OSError."""
        self.socket.sendall(line.encode() + b"\n")

    def read(self) -> bytes:
        """The next one. Raises OSError where there is none any more, or none that is so short."""
        while b"\n" not in self._rest:
            more = self.socket.recv(1 << 16)
            if not more or len(self._rest) > LONGEST:
                raise ConnectionError("there is no line")
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def has_ended(self) -> bool:
        """Whether nobody is at the other end any more, who says nothing meanwhile."""
        self.socket.settimeout(0.0)
        try:
            return not self.socket.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True
        finally:
            self.socket.settimeout(None)

    def close(self) -> None:
        self.socket.close()


def keep_asking(connection: socket.socket) -> None:
    """Wait for as long as it takes, and notice within a dozen seconds that nobody is there any
    more."""
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, ASK_AFTER_S),
        (socket.TCP_KEEPINTVL, ASK_EVERY_S),
        (socket.TCP_KEEPCNT, ASKED),
    ):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
