"""The connection between a leader and a shard: proved both ways, and closed for both at once."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from raylax.worker.errors import RankLost
from raylax.worker.ranks import control_channel
from raylax.worker.ranks.control_channel import ControlChannel, Kind, Reception

SECRET = b"the engine's secret"
PATIENCE_S = 20.0


@pytest.fixture(params=["127.0.0.1", "127.0.0.2"])
def server(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """At this machine's own address, and at one to which all is sealed."""
    with socket.create_server((request.param, 0)) as listening:
        listening.settimeout(10)
        yield listening


def pair(server: socket.socket, secret: bytes = SECRET) -> tuple[ControlChannel, ControlChannel]:
    """The leader's end and a shard's, which knows this secret."""
    with ThreadPoolExecutor(1) as pool:
        shard = pool.submit(ControlChannel.connect, *place_of(server), secret)
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
    with ThreadPoolExecutor(1) as pool:
        stranger = pool.submit(ControlChannel.connect, *place_of(server), b"a guess")
        with pytest.raises(RankLost, match="somebody connected who is no rank of ours"):
            ControlChannel.accept(server.accept()[0], SECRET)
        with pytest.raises(RankLost, match="the leader at 127.0.0."):
            stranger.result()


def test_a_closed_channel_lets_the_other_end_go(server: socket.socket) -> None:
    leader, shard = pair(server)
    leader.close()

    with pytest.raises((EOFError, OSError)):
        shard.receive()
    shard.close()


def place_of(server: socket.socket) -> tuple[str, int]:
    host, port = server.getsockname()
    return host, port


def join(place: tuple[str, int], rank: int) -> ControlChannel:
    channel = ControlChannel.connect(*place, SECRET)
    channel.send_json(Kind.HELLO, rank=rank)
    return channel


def test_strangers_hold_up_no_rank(server: socket.socket) -> None:
    """Those before it in the line say nothing, or guess."""
    place = place_of(server)
    with Reception(server, SECRET) as received, ExitStack() as opened:
        for _ in range(10):
            opened.enter_context(socket.create_connection(place))
        liar = opened.enter_context(socket.create_connection(place))
        liar.sendall(b"\x04\0\0\0none")
        begun = time.monotonic()
        shard = join(place, 3)
        arrival = received.next(PATIENCE_S)

        assert arrival is not None and arrival.facts == {"rank": 3}
        assert time.monotonic() - begun < control_channel.GREETING_S
        arrival.channel.send(Kind.ASSIGN, b"work")
        assert shard.receive() == (Kind.ASSIGN, b"work")
        arrival.channel.close()
        shard.close()


def test_there_are_so_many_strangers_and_no_more(
    server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest is let go for one who may be a rank."""
    monkeypatch.setattr(control_channel, "MOST_GUESTS", 3)
    place = place_of(server)
    with Reception(server, SECRET) as received, ExitStack() as opened:
        guests = [socket.create_connection(place, PATIENCE_S) for _ in range(8)]
        for guest in guests:
            opened.enter_context(guest)
        for guest in guests[:5]:
            while guest.recv(4096):  # until it is closed: that comes after the challenge
                pass
        shard = join(place, 1)
        arrival = received.next(PATIENCE_S)

        assert arrival is not None
        assert len(received._guests) <= 3
        arrival.channel.close()
        shard.close()


def test_who_says_a_byte_now_and_then_is_no_rank(
    server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A greeting has its time altogether, not each part of it."""
    monkeypatch.setattr(control_channel, "GREETING_S", 0.4)

    def drip(place: tuple[str, int]) -> float:
        begun = time.monotonic()
        with socket.create_connection(place, PATIENCE_S) as guest:
            try:
                while guest.recv(1):
                    guest.sendall(b"\x40")
                    time.sleep(0.1)
            except OSError:
                pass
        return time.monotonic() - begun

    with Reception(server, SECRET), ThreadPoolExecutor(1) as pool:
        assert pool.submit(drip, place_of(server)).result() < 10


def test_who_has_not_been_taken_is_let_go_in_the_end(server: socket.socket) -> None:
    place = place_of(server)
    with Reception(server, SECRET) as received:
        shard = join(place, 1)
        while received._arrivals.empty():
            time.sleep(0.005)
        with socket.create_connection(place, PATIENCE_S) as silent:
            while not received._guests:
                time.sleep(0.005)
            received.__exit__()
            while silent.recv(4096):
                pass
    with pytest.raises((EOFError, OSError)):
        shard.receive()
    shard.close()
