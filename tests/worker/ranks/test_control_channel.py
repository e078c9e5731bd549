"""The connection between a leader and a shard: proved both ways, and closed for both at once."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from raylax.worker.errors import RankLost
from raylax.worker.ranks.control_channel import ControlChannel, Kind

SECRET = b"the engine's secret"


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)
        yield listening


def pair(server: socket.socket, secret: bytes = SECRET) -> tuple[ControlChannel, ControlChannel]:
    """The leader's end and a shard's, which knows this secret."""
    with ThreadPoolExecutor(1) as pool:
        port = server.getsockname()[1]
        shard = pool.submit(ControlChannel.connect, "127.0.0.1", port, secret)
        leader = ControlChannel.accept(server.accept()[0], SECRET)
        return leader, shard.result()


def test_messages_arrive_whole_and_in_order(server: socket.socket) -> None:
    leader, shard = pair(server)
    large = bytes(range(256)) * 4000
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(leader.send, Kind.PLAN, large)
        first = shard.receive()
        sending.result()
    leader.send(Kind.PING)
    shard.send_json(Kind.PONG, step=3)

    assert first == (Kind.PLAN, large)
    assert shard.receive() == (Kind.PING, b"")
    assert leader.receive() == (Kind.PONG, b'{"step": 3}')
    leader.close()
    shard.close()


def test_a_stranger_is_lost_at_both_ends(server: socket.socket) -> None:
    """Each end has to prove that it knows the secret."""
    port = server.getsockname()[1]
    with ThreadPoolExecutor(1) as pool:
        stranger = pool.submit(ControlChannel.connect, "127.0.0.1", port, b"a guess")
        with pytest.raises(RankLost, match="somebody connected who is no rank of ours"):
            ControlChannel.accept(server.accept()[0], SECRET)
        with pytest.raises(RankLost, match="the leader at 127.0.0.1"):
            stranger.result()


def test_a_closed_channel_lets_the_other_end_go(server: socket.socket) -> None:
    leader, shard = pair(server)
    leader.close()

    with pytest.raises((EOFError, OSError)):
        shard.receive()
    shard.close()
