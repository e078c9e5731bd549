"""How ranks find each other, and who is kept out."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from raylax.worker.comm.errors import CommError, CommTimeout
from raylax.worker.comm.tcp import acceptor
from raylax.worker.comm.tcp.acceptor import Listener
from raylax.worker.comm.tcp.communicator import TcpCommunicator
from tests.support import comm_work as work
from tests.support.comm_groups import Pool, group_of

SECRET = b"known to the group"
SHORT_S = 0.5
LONG_S = 60.0
AT_ONCE_S = 5.0
LEADER, FOLLOWER = "127.0.0.2", "127.0.0.3"


class Outcome:
    """Of something that is done in a thread meanwhile."""

    def __init__(self, what: Callable[[], Any]) -> None:
        self._what = what
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._what()
        except Exception as error:
            self._result = error

    def get(self) -> Any:
        self._thread.join(LONG_S)
        return self._result


@pytest.fixture(params=["127.0.0.1", LEADER])
def listener(request: pytest.FixtureRequest) -> Iterator[Listener]:
    """At this machine's own address, and at one to which all is sealed."""
    with Listener(request.param) as listener:
        yield listener


def leading(listener: Listener, world: int, limit_s: float = LONG_S) -> Outcome:
    return Outcome(lambda: TcpCommunicator.lead(listener, world, SECRET, limit_s))


def joining(
    listener: Listener, rank: int, world: int, secret: bytes = SECRET, limit_s: float = LONG_S
) -> Outcome:
    address = listener.address
    return Outcome(lambda: TcpCommunicator.join(address, rank, world, secret, limit_s, FOLLOWER))


def close(*outcomes: Outcome) -> None:
    for outcome in outcomes:
        outcome.get().close()


def test_each_rank_is_reached_at_an_address_of_its_own(pool: Pool) -> None:
    """As on several hosts."""
    with group_of("tcp", 3, pool) as group:
        assert group.run(work.said_of_itself) == [
            "<rank 0 of 3, linked to rank 1 at 127.0.0.3, rank 2 at 127.0.0.4>",
            "<rank 1 of 3, linked to rank 0 at 127.0.0.2, rank 2 at 127.0.0.4>",
            "<rank 2 of 3, linked to rank 0 at 127.0.0.2, rank 1 at 127.0.0.3>",
        ]


def test_another_secret_is_refused(listener: Listener) -> None:
    """The one with it learns that; the leader says that somebody tried."""
    leader = leading(listener, 2, SHORT_S)
    refused = joining(listener, 1, 2, b"a guess").get()

    assert isinstance(refused, CommError)
    assert str(refused) == "rank 0 hung up: is the secret the same, and are we expected?"
    assert str(leader.get()) == (
        "rank 1 did not come to the rendezvous (1 turned away: another secret?) within 0.5 s"
    )


def test_a_guess_does_not_keep_the_right_one_out(listener: Listener) -> None:
    leader = leading(listener, 2)
    assert isinstance(joining(listener, 1, 2, b"a guess").get(), CommError)
    follower = joining(listener, 1, 2)

    close(leader, follower)


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("127.0.0.1", "who answers as rank 0 does not know the secret"),
        (LEADER, "rank 0 hung up: is the secret the same, and are we expected?"),
    ],
)
def test_a_leader_that_does_not_know_the_secret_is_refused(host: str, said: str) -> None:
    """It says what it heard, and what it likes: neither is a proof."""
    with socket.create_server((host, 0)) as server:
        address = f"{host}:{server.getsockname()[1]}"
        joined = Outcome(lambda: TcpCommunicator.join(address, 1, 2, SECRET, LONG_S, FOLLOWER))
        connection, _ = server.accept()
        with connection:
            connection.sendall(bytes(32))
            heard = connection.recv(544, socket.MSG_WAITALL)
            connection.sendall(heard[-32:])

            assert str(joined.get()) == said


def test_strangers_do_not_hold_up_the_rendezvous(listener: Listener) -> None:
    """Silent ones, one that leaves, one that talks nonsense, one that begins well and stops."""
    host, port = listener.host, int(listener.address.split(":")[1])
    begun = time.monotonic()
    with ExitStack() as strangers:
        connections = [
            strangers.enter_context(socket.create_connection((host, port))) for _ in range(6)
        ]
        connections[0].close()
        connections[1].sendall(b"GET / HTTP/1.1\r\n\r\n" + bytes(1000))
        connections[2].sendall(bytes(543))
        leader, follower = leading(listener, 2), joining(listener, 1, 2)
        close(leader, follower)

    assert time.monotonic() - begun < AT_ONCE_S


def test_there_are_so_many_strangers_and_no_more(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest is let go for one who may be a rank."""
    monkeypatch.setattr(acceptor, "MOST_GUESTS", 4)
    host, port = listener.host, int(listener.address.split(":")[1])
    with ExitStack() as strangers:
        leader = leading(listener, 2)
        connections = [
            strangers.enter_context(socket.create_connection((host, port), LONG_S))
            for _ in range(9)
        ]
        for connection in connections[:5]:
            while connection.recv(4096):  # until it is closed: that comes after the challenge
                pass
        close(leader, joining(listener, 1, 2))


def test_who_does_not_come_is_named(listener: Listener) -> None:
    """To the leader; who did come learns that it was in vain."""
    leader = leading(listener, 4, SHORT_S)
    follower = joining(listener, 2, 4)

    found = leader.get()
    assert isinstance(found, CommTimeout)
    assert str(found) == "ranks 1 and 3 did not come to the rendezvous within 0.5 s"
    assert str(follower.get()) == "rank 0 gave up before all ranks had come"


def test_a_leader_that_says_nothing_is_waited_for_in_vain() -> None:
    """It accepts, as the kernel does for a process that hangs."""
    with Listener(LEADER) as mute:
        found = joining(mute, 1, 2, limit_s=SHORT_S).get()

    assert str(found) == "rank 0 did not answer at the rendezvous within 0.5 s"


def test_nobody_listens(listener: Listener) -> None:
    listener.close()
    found = joining(listener, 1, 2).get()

    assert isinstance(found, CommError)
    assert f"rank 0 cannot be reached at {listener.address}: " in str(found)
    assert "Connection refused" in str(found)


def test_ranks_that_disagree_on_the_world(listener: Listener) -> None:
    leader = leading(listener, 2)
    joining(listener, 1, 3)

    assert str(leader.get()) == "rank 1 comes for a world of 3, this is one of 2"


def test_an_address_of_somebody_else() -> None:
    with pytest.raises(CommError, match=r"cannot listen at 192\.0\.2\.1:0: "):
        Listener("192.0.2.1")
