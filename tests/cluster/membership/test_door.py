"""The door of a cluster, and who comes to it."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from raylax.cluster.config.machines import Place
from raylax.cluster.errors import UserError
from raylax.cluster.membership import visit as visiting
from raylax.cluster.membership.door import MOST_UNKNOWN, Door
from raylax.cluster.membership.said import Joined, Welcome, own_versions
from raylax.cluster.membership.visit import NobodyThere, visit
from raylax.proto.wire.cluster_tls import context_of
from tests.support.cluster_serving import until

SECRET, OTHER = "a" * 64, "b" * 64
WELCOME = Welcome(
    versions=own_versions(), time_s=0, gcs="10.0.0.2:1", config={}, models=(), cpus=1, places={}
)
PATIENCE_S = 10.0


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def door(notes: list[str]) -> Iterator[Door]:
    made = Door(Place("127.0.0.2", 0), SECRET, lambda: WELCOME, notes.append)
    yield made
    made.close()


def test_who_has_the_secret_is_told_all(door: Door) -> None:
    """And by which address it has come, which is a machine's unless it names another one."""
    visited = visit(door.place, SECRET, None)
    named = visit(door.place, SECRET, "10.0.0.3")

    assert visited.welcome.model_copy(update={"time_s": 0}) == WELCOME
    assert abs(visited.ahead_s) < 1
    assert visited.address.startswith("127.0.0.")
    assert named.address == "10.0.0.3"
    for one in (visited, named):
        one.lines.close()


def test_people_are_told_who_comes_and_goes(door: Door, notes: list[str]) -> None:
    """Also where a machine's process is killed: its connection ends."""
    visited = visit(door.place, SECRET, "10.0.0.3")
    visited.lines.write(Joined(cpus=8, gpus=2).model_dump_json())
    until(lambda: notes, PATIENCE_S)
    assert not visited.lines.has_ended()
    visited.lines.close()
    until(lambda: len(notes) == 2, PATIENCE_S)

    assert notes == ["10.0.0.3 has joined, with 8 cores and 2 GPUs", "10.0.0.3 has left"]


def test_another_secret(door: Door, notes: list[str]) -> None:
    """Is not said to anybody, and heard by nobody."""
    with pytest.raises(UserError, match=r"^127\.0\.0\.2:\d+ has another secret: the file must be"):
        visit(door.place, OTHER, None)

    assert notes == []


def test_a_stranger_hears_nothing(door: Door) -> None:
    """Who brings no certificate, or speaks without TLS."""
    with socket.create_connection(door.place, PATIENCE_S) as plain:
        plain.settimeout(PATIENCE_S)
        plain.sendall(b'{"versions": {}, "address": "10.0.0.3"}\n')
        heard = b""
        with suppress(ConnectionError):
            while more := plain.recv(1 << 16):
                heard += more

    assert b"10.0.0.2" not in heard


@pytest.mark.parametrize("said", [b"\n", b"[]\n", b"x" * 3_000_000], ids=len)
def test_a_machine_that_says_something_else(door: Door, said: bytes) -> None:
    """It has the secret, but is another version: it is sent away, and others are let in."""
    context = context_of(SECRET, accepts=False)
    with (
        socket.create_connection(door.place, PATIENCE_S) as plain,
        context.wrap_socket(plain, server_hostname="x") as strange,
        suppress(ConnectionError),
    ):
        strange.sendall(said)
        assert strange.recv(1) == b""

    visit(door.place, SECRET, None).lines.close()


def test_silent_connections_take_no_more_than_their_places(door: Door) -> None:
    """One more is closed at once."""
    with ExitStack() as stack:
        for _ in range(MOST_UNKNOWN):
            stack.enter_context(socket.create_connection(door.place, PATIENCE_S))
        extra = stack.enter_context(socket.create_connection(door.place, PATIENCE_S))
        extra.settimeout(PATIENCE_S)

        assert extra.recv(1) == b""
    until(lambda: answers(door), PATIENCE_S)


def answers(door: Door) -> bool:
    try:
        visit(door.place, SECRET, None).lines.close()
    except UserError:
        return False
    return True


def test_a_clock_that_differs(notes: list[str]) -> None:
    """By half a minute, found within what a question takes."""
    late = Door(
        Place("127.0.0.2", 0), SECRET, lambda: WELCOME, notes.append, lambda: time.time() - 30
    )
    visited = visit(late.place, SECRET, None)

    assert visited.ahead_s == pytest.approx(30, abs=1)
    visited.lines.close()
    late.close()


def test_an_address_where_nobody_listens() -> None:
    with socket.create_server(("127.0.0.2", 0)) as gone:
        place = Place(*gone.getsockname())
    with pytest.raises(NobodyThere) as caught:
        visit(place, SECRET, None)

    assert str(caught.value) == (
        f"no cluster is at {place}: Connection refused; `raylax serve --cluster {place}` on that "
        "machine starts one"
    )


def echo(connection: socket.socket) -> None:
    while more := connection.recv(1 << 16):
        connection.sendall(more)


def page(connection: socket.socket) -> None:
    connection.recv(1 << 16)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def silence(connection: socket.socket) -> None:
    connection.recv(1 << 16)
    time.sleep(1)


def goodbye(connection: socket.socket) -> None:
    """Closes at once."""


@contextmanager
def served(body: Callable[[socket.socket], None]) -> Iterator[Place]:
    with socket.create_server(("127.0.0.2", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                body(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Place(*server.getsockname())
        thread.join()


@pytest.mark.parametrize("body", [echo, page, silence, goodbye])
def test_an_address_where_something_else_listens(
    body: Callable[[socket.socket], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visiting, "PATIENCE_S", 0.5)
    with served(body) as place, pytest.raises(UserError) as caught:
        visit(place, SECRET, None)

    assert str(caught.value).startswith(f"what is at {place} is no cluster of raylax: ")
