"""A run that is opened to others while it serves is closed again, or ended."""

import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from raylax.cluster import environment
from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.startup.privacy_watch import LOOK_EVERY_S, PrivacyWatch
from raylax.cluster.supervision.roles import Role
from raylax.cluster.supervision.supervisor import ClusterDied

AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only root makes files of another user")


class Watched:
    """A run of this process alone, and a clock that goes on by a look each."""

    def __init__(self, directory: Path, host: str = "127.0.0.1") -> None:
        self.directory, self.said, self._now = directory, list[str](), 0.0
        config = ClusterConfig(host=host)
        self._watch = PrivacyWatch(directory, config, lambda: {os.getpid()}, lambda: self._now)

    def look(self, after_s: float = LOOK_EVERY_S) -> list[str]:
        """Who is to be ended, and why."""
        self._now += after_s
        return [f"{one.member}: {one.why}" for one in self._watch.look(self.said.append)]


@pytest.fixture
def watched() -> Iterator[Watched]:
    directory = environment.make_run_directory()
    yield Watched(directory)
    directory.chmod(0o700)
    environment.remove(directory)


@pytest.mark.parametrize("name", ["", "logs", "ray/admin.sock", "answers/one.answer"])
def test_what_is_opened_is_closed_and_told(watched: Watched, name: str) -> None:
    """A socket of a replica that came later, a file, a directory, the run itself."""
    for each in ("logs", "ray", "answers"):
        (watched.directory / each).mkdir(mode=0o700)
    (path := watched.directory / name).parent.mkdir(exist_ok=True)
    if "." in name:
        path.touch()
    mode = path.stat().st_mode
    path.chmod(mode | 0o066)

    assert watched.look() == []
    assert path.stat().st_mode & 0o077 == 0
    (line,) = watched.said
    assert line.startswith(f"{path} (") and line.endswith("it is closed again")
    assert watched.look() == [] and len(watched.said) == 1


def test_who_listens_where_others_come_by_is_ended(watched: Watched) -> None:
    """Unless it does so for a moment only, as resolvers of names do."""
    with closing(socket.create_server(("0.0.0.0", 0))) as door:
        port = door.getsockname()[1]
        assert watched.look() == []
        (line,) = watched.look()
    assert line.startswith(f"{Role.OTHER} (pid {os.getpid()}): others may reach it: ")
    assert line.endswith(f"tcp 0.0.0.0:{port}")
    assert watched.look() == []
    with closing(socket.create_server(("0.0.0.0", 0))):
        assert watched.look() == []
    assert watched.look() == []


def test_so_is_who_listens_at_a_socket_elsewhere(watched: Watched, tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as door:
        door.bind(str(tmp_path / "door"))
        door.listen()
        found = [watched.look(), watched.look()]

    assert found[0] == []
    assert found[1][0].endswith(f"{tmp_path}/door lies outside the run's directory")


@AS_ROOT
def test_what_cannot_be_closed_is_the_end(watched: Watched) -> None:
    (file := watched.directory / "token").touch(mode=0o600)
    os.chown(file, 65534, 65534)

    with pytest.raises(ClusterDied, match="not private to this user any more: .*token"):
        watched.look()


def test_nobody_looks_all_the_time(watched: Watched) -> None:
    watched.directory.chmod(0o755)

    assert watched.look(LOOK_EVERY_S / 2) == [] and watched.said == []


def test_what_comes_and_goes_meanwhile_disturbs_nobody(watched: Watched) -> None:
    """A directory that is removed while it is being read."""
    ended = threading.Event()

    def come_and_go() -> None:
        while not ended.is_set():
            made = Path(tempfile.mkdtemp(dir=watched.directory))
            (made / "file").touch(mode=0o600)
            environment.remove(made)

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        for _ in range(50):
            assert watched.look() == []
    finally:
        ended.set()
        other.join()

    assert watched.said == []
