"""Takes the next connection, also where this process has no open file left."""

import errno
import socket
import time

PAUSE_S = 0.05
"""The connection stays where it is, so that whoever waits for one asks again at once."""
NO_FILE_LEFT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def next_guest(server: socket.socket) -> socket.socket | None:
    """The next connection; None: nobody has come, has left again, or can be taken now."""
    try:
        return server.accept()[0]
    except OSError as error:
        if error.errno in NO_FILE_LEFT:
            time.sleep(PAUSE_S)
        return None
