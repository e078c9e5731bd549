"""Questions at the front door, and what is made of the answers."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from raylax.cluster.supervision.front_door import Answer, Answers, FrontDoor, ask
from tests.support.cluster_serving import until

PATIENCE_S = 10.0


@contextmanager
def saying(path: Path, reply: bytes | None) -> Iterator[Path]:
    """A socket that answers every question so; None: it takes them, and says nothing."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    if reply is None:
                        connection.recv(4096)  # until whoever asked has given up
                    else:
                        connection.sendall(reply)

        threading.Thread(target=serve, daemon=True).start()
        yield path
        server.shutdown(socket.SHUT_RDWR)


def said(status: str, body: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


SERVES = said("200 OK", '{"status": "ok", "workers": ["w"]}')


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (SERVES, "serves"),
        (said("503 No worker", '{"status": "no worker is ready", "workers": []}'), "no worker"),
        (said("503 No router", '{"error": {"message": "no router serves now"}}'), "silence"),
        (said("404 No application", "Path not found"), "silence"),
        (b"HTTP/1.1 500 No router\r\n\r\n", "silence"),
        (b"nonsense\r\n", "silence"),
        (b"", "silence"),
        (None, "silence"),
    ],
)
def test_an_answer(reply: bytes | None, answer: Answer, tmp_path: Path) -> None:
    with saying(tmp_path / "s", reply) as path:
        assert ask(path, 0.2 if reply is None else PATIENCE_S) == answer


def test_nobody_there(tmp_path: Path) -> None:
    assert ask(tmp_path / "s") == "silence"


@pytest.mark.parametrize(
    ("answers", "silent", "idle"),
    [
        ([], None, None),
        (["serves"], None, None),
        (["silence"], 0.0, None),
        (["serves", "silence", "silence"], 1.0, None),
        (["silence", "serves", "silence"], 2.0, None),
        (["no worker", "no worker"], None, 0.0),
        (["no worker", "silence", "no worker"], None, 0.0),
        (["no worker", "silence"], 1.0, 0.0),
        (["no worker", "serves", "silence"], 2.0, None),
    ],
)
def test_what_a_row_of_answers_says(
    answers: list[Answer], silent: float | None, idle: float | None
) -> None:
    """Silence counts from the first question that nobody answered."""
    known = Answers()
    for now, answer in enumerate(answers):
        known = known.after(answer, now)

    assert known == Answers(silent, idle)


def test_it_is_asked_again_and_again(tmp_path: Path) -> None:
    door = FrontDoor(tmp_path / "s")
    try:
        until(lambda: door.answers.silent_since is not None, PATIENCE_S)
        with saying(tmp_path / "s", SERVES):
            until(lambda: door.answers == Answers(), PATIENCE_S)
    finally:
        door.close()
