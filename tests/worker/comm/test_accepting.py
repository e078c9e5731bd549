"""Who waits for connections does not spin where none can be taken."""

import errno
import os
import socket
import time

import pytest

from raylax.worker.comm.accepting import PAUSE_S
from raylax.worker.comm.deadline import Deadline
from raylax.worker.comm.errors import CommTimeout
from raylax.worker.comm.tcp.acceptor import Acceptor, Listener
from raylax.worker.ranks.control_channel import Reception

WAIT_S = 6 * PAUSE_S


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When a connection was asked for, by a process that has no open file left."""
    times: list[float] = []

    def accept(self: socket.socket) -> None:
        times.append(time.monotonic())
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(socket.socket, "accept", accept)
    return times


def test_a_rendezvous(asked: list[float]) -> None:
    with (
        Listener("127.0.0.1") as listener,
        socket.create_connection(listener.socket.getsockname()),
        Acceptor(listener, b"secret", [1], 2) as acceptor,
        pytest.raises(CommTimeout),
    ):
        acceptor.admit_all(Deadline.after(WAIT_S))

    assert 1 <= len(asked) <= 8


def test_a_leader(asked: list[float]) -> None:
    with Reception(socket.create_server(("127.0.0.1", 0)), b"secret") as reception:
        assert reception.next(WAIT_S) is None

    assert 1 <= len(asked) <= 8
