"""Sockets of ranks on other machines: as plain ones are, and understood by nobody else."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from select import POLLIN, POLLOUT, poll

import pytest

from raylax.worker.comm.sealed_socket import NotOurs, RankSocket, SealedSocket, sealed

SECRET = b"of this engine"
WIRE = "127.0.0.2"
PATIENCE_S = 20.0
LARGE = bytes(range(256)) * 20_000


@pytest.fixture
def raw() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Who connects, and who accepts."""
    with socket.create_server((WIRE, 0)) as server, ExitStack() as stack:
        connects = stack.enter_context(socket.create_connection(server.getsockname()))
        accepts = stack.enter_context(server.accept()[0])
        for one in (connects, accepts):
            one.settimeout(PATIENCE_S)
        yield connects, accepts


def ends(raw: tuple[socket.socket, socket.socket], *secrets: bytes) -> list[SealedSocket]:
    connects, accepts = secrets or (SECRET, SECRET)
    return [SealedSocket(raw[0], connects, False), SealedSocket(raw[1], accepts, True)]


def received(end: SealedSocket, size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        with suppress(BlockingIOError):
            if not (part := end.recv(size - len(found))):
                break
            found += part
    return bytes(found)


def test_both_say_much_at_once(raw: tuple[socket.socket, socket.socket]) -> None:
    """More than the network holds, before either listens: one thread reads and one writes."""
    both = ends(raw)
    with ThreadPoolExecutor(4) as pool:
        for end in both:
            end.sendall(b"hello")
        met = [pool.submit(received, end, 5) for end in both]
        assert [one.result(PATIENCE_S) for one in met] == [b"hello", b"hello"]
        sending = [pool.submit(end.sendall, LARGE) for end in both]
        found = [pool.submit(received, end, len(LARGE)) for end in both]
        assert [one.result(PATIENCE_S) for one in found] == [LARGE, LARGE]
        for one in sending:
            one.result(PATIENCE_S)


def exchange(both: list[SealedSocket], contents: list[bytes]) -> list[bytes]:
    """As ranks do it: all at once, in parts, on one thread."""
    rooms = [bytearray(len(contents[1])), bytearray(len(contents[0]))]
    out = [[memoryview(content[:7]), memoryview(content[7:])] for content in contents]
    into = [[memoryview(room)[:11], memoryview(room)[11:]] for room in rooms]
    waiting = poll()
    for end in both:
        end.setblocking(False)
        waiting.register(end, POLLIN | POLLOUT)
    while any(out) or any(into):
        waiting.poll(PATIENCE_S * 1000)
        for at, end in enumerate(both):
            with suppress(BlockingIOError):
                out[at] = out[at] and rest(out[at], end.sendmsg(out[at]))
            with suppress(BlockingIOError):
                into[at] = into[at] and rest(into[at], end.recvmsg_into(into[at])[0])
    return [bytes(room) for room in rooms]


def rest(views: list[memoryview], done: int) -> list[memoryview]:
    while views and done >= len(views[0]):
        done -= len(views.pop(0))
    return [views[0][done:], *views[1:]] if views else []


def test_what_does_not_block_arrives_whole(raw: tuple[socket.socket, socket.socket]) -> None:
    for one in raw:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 10)

    assert exchange(ends(raw), [LARGE, LARGE[::-1]]) == [LARGE[::-1], LARGE]


def test_what_the_network_will_not_announce_is_told(
    raw: tuple[socket.socket, socket.socket],
) -> None:
    """Two messages that came together, of which one was asked for."""
    one, other = ends(raw)
    other.sendall(b"hello")
    with ThreadPoolExecutor(1) as pool:
        greeting = pool.submit(received, one, 5)
        one.sendall(b"firstsecond")
        assert received(other, 5) == b"first"
        assert other.waiting
        assert greeting.result(PATIENCE_S) == b"hello"

    assert other.recv(100) == b"second"
    assert not other.waiting


@pytest.mark.parametrize("guesses", [0, 1])
def test_who_guesses_is_none_of_ours(
    raw: tuple[socket.socket, socket.socket], guesses: int
) -> None:
    secrets = [SECRET, SECRET]
    secrets[guesses] = b"a guess"
    both = ends(raw, *secrets)
    both[1].send(b"for friends")
    outcomes: list[object] = []
    for end in (both[1], both[0], both[1]):
        try:
            outcomes.append(end.recv(100))
        except (BlockingIOError, NotOurs) as error:
            outcomes.append(type(error))

    assert outcomes == [BlockingIOError, NotOurs, NotOurs]


def test_who_speaks_plainly_is_none_of_ours(raw: tuple[socket.socket, socket.socket]) -> None:
    stranger, end = raw[0], SealedSocket(raw[1], SECRET, True)
    end.send(b"for friends")
    stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(NotOurs, match="does not know the secret"):
        end.recv(100)
    end.close()

    assert b"friends" not in stranger.recv(1000)


@pytest.mark.parametrize(("host", "kind"), [("127.0.0.1", socket.socket), (WIRE, SealedSocket)])
def test_this_machines_own_address_costs_nothing(host: str, kind: type[RankSocket]) -> None:
    with socket.create_server((host, 0)) as server:
        connected = socket.create_connection(server.getsockname())
        accepted = server.accept()[0]
        for one in (sealed(connected, SECRET, False), sealed(accepted, SECRET, True)):
            with closing(one):
                assert type(one) is kind
