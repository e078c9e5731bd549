"""What another user could reach of a run is found, whichever way it is open."""

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing
from mmap import mmap
from pathlib import Path
from secrets import token_hex

import pytest

from raylax.cluster import environment
from raylax.cluster.environment import ray_directory
from raylax.cluster.startup.privacy import found_open

OURS = [os.getpid()]
NOBODY = 65534
AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only root makes files of another user")


@pytest.fixture
def run() -> Iterator[Path]:
    """A run's directory with what is usual in it: Ray's open directory, a log, a link, a socket."""
    made = environment.make_run_directory()
    before = os.umask(environment.UMASK)
    (logs := ray_directory(made) / "session" / "logs").mkdir(parents=True)
    for path in (ray_directory(made), logs.parent, logs):
        path.chmod(0o777)
    (logs / "raylet.out").touch()
    (ray_directory(made) / "session_latest").symlink_to(logs.parent)
    with closing(listener(str(logs.parent / "raylet"))):
        os.umask(before)
        yield made
    environment.remove(made)


def listener(name: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.bind(name)
    made.listen()
    return made


def test_a_usual_run_is_private(run: Path) -> None:
    """Ray's open directories lie where nobody comes by."""
    assert found_open(run, OURS) == []


@pytest.mark.parametrize("mode", [0o755, 0o711, 0o770, 0o701])
def test_the_directory_itself_is_closed(run: Path, mode: int) -> None:
    run.chmod(mode)

    assert any(one.startswith(f"{run} (") for one in found_open(run, OURS))


@pytest.mark.parametrize("name", ["token", "ray/session/logs/raylet.out", "ray/session/raylet"])
@pytest.mark.parametrize("mode", [0o604, 0o666, 0o660, 0o602])
def test_every_file_and_socket_is_closed(run: Path, name: str, mode: int) -> None:
    """Its name is told, and its mode."""
    (run / name).touch()
    (run / name).chmod(mode)
    (found,) = found_open(run, OURS)

    assert found.startswith(f"{run / name} (") and "rw" in found


def test_every_directory_but_rays_is_closed(run: Path) -> None:
    (run / "node").mkdir()
    (run / "node").chmod(0o755)

    assert [one.split()[0] for one in found_open(run, OURS)] == [str(run / "node")]


@AS_ROOT
@pytest.mark.parametrize("name", ["", "token", "ray/session/logs"])
def test_nothing_belongs_to_another_user(run: Path, name: str) -> None:
    if name == "token":
        (run / name).touch(mode=0o600)
    os.chown(run / name, NOBODY, NOBODY)

    assert any(one.startswith(f"{run / name} (") for one in found_open(run, OURS))


def test_nobody_can_exchange_the_directory() -> None:
    """Where all may write into the one above."""
    above = Path(tempfile.mkdtemp(dir="/tmp"))
    run = above / "run"
    run.mkdir(mode=0o700)
    above.chmod(0o777)
    found = found_open(run, OURS)
    environment.remove(above)

    assert [one.split()[0] for one in found] == [str(above)]


@pytest.mark.parametrize(("mode", "private"), [(0o600, True), (0o644, False), (0o666, False)])
def test_shared_memory_with_a_name_is_closed(run: Path, mode: int, private: bool) -> None:
    """What a process has mapped, as long as others can open it."""
    path = Path("/dev/shm") / f"raylax-test-{token_hex(8)}"
    with path.open("w+b") as file:
        file.truncate(4096)
        memory = mmap(file.fileno(), 4096)
    path.chmod(mode)
    found = found_open(run, OURS)
    path.unlink()
    gone = found_open(run, OURS)
    memory.close()

    assert [one.split()[0] for one in found] == ([] if private else [str(path)])
    assert gone == []


def test_a_socket_that_lies_in_no_directory_is_found(run: Path) -> None:
    """It has no mode: whoever knows its name may connect. One that only bears a name is no door."""
    name = f"raylax-test-{token_hex(8)}"
    with closing(socket.socket(socket.AF_UNIX)) as claim:
        claim.bind(f"\0{name}-claim")
        silent = found_open(run, OURS)
        with closing(listener(f"\0{name}")):
            found = found_open(run, OURS)

    assert silent == []
    assert found == [f"@{name} (a socket outside the run's directory)"]


def test_a_socket_elsewhere_is_found(run: Path, tmp_path: Path) -> None:
    with closing(listener(str(tmp_path / "door"))):
        found = found_open(run, OURS)

    assert found == [f"{tmp_path}/door (a socket outside the run's directory)"]
