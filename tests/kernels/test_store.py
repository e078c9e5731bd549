"""Artefacts are whole or not there, and made once."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock

from raylax.kernels.errors import UntrustedPath
from raylax.kernels.store import KEPT_S, Store, is_unused, key_of

MAKERS = 4
MAKER = """
import sys, time
from pathlib import Path
from raylax.kernels.store import Store

root, log = Path(sys.argv[1]), Path(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()

def fill(directory):
    with log.open("a") as file:
        file.write("made ")
    (directory / "first").touch()
    time.sleep(0.2)  # long enough for the others to come
    (directory / "second").touch()

directory, _ = Store(root).get("kind", "key", fill)
print(*sorted(path.name for path in directory.iterdir()))
"""


def test_processes_that_want_the_same_artefact_make_it_once(tmp_path: Path) -> None:
    """The others wait, and find it whole."""
    log = tmp_path / "log"
    command = [sys.executable, "-c", MAKER, str(tmp_path / "store"), str(log)]
    makers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(MAKERS)
    ]
    for maker in makers:
        assert maker.stdout is not None and maker.stdout.readline() == "ready\n"
    said = [maker.communicate("go\n", timeout=60)[0] for maker in makers]

    assert said == ["first second\n"] * MAKERS
    assert log.read_text() == "made "


def test_a_maker_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """The next one begins anew."""
    store = Store(tmp_path)

    def fail(directory: Path) -> None:
        (directory / "half").write_text("")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.get("kind", "key", fail)

    assert not [path for path in (tmp_path / "kind").iterdir() if path.is_dir()]
    directory, made = store.get("kind", "key", lambda d: (d / "whole").touch())
    assert made and (directory / "whole").exists()


def test_what_a_killed_maker_left_is_removed(tmp_path: Path) -> None:
    """The lock says that nobody is at work there any more."""
    left = tmp_path / "kind" / "key.abc123"
    left.mkdir(parents=True)
    (left / "half").touch()

    Store(tmp_path).get("kind", "key", lambda directory: None)

    assert not left.exists()


def test_what_others_that_were_killed_had_begun_is_removed(tmp_path: Path) -> None:
    """Of any kind and key: a model that was changed since will not be asked for again. What
    somebody is at, or is called otherwise, stays."""
    names = ("a" * 32 + ".abc123", "b" * 32 + ".abc123", "qwen2.5-0.5b", "c" * 32)
    for name in names:
        (tmp_path / "weights" / name / "inside").mkdir(parents=True)

    with FileLock(tmp_path / "weights" / ("b" * 32 + ".lock")):
        Store(tmp_path).check_room(1)

    left = {path.name for path in (tmp_path / "weights").iterdir() if path.is_dir()}
    assert left == set(names[1:])


def test_the_room_that_counts_is_on_the_disk_where_the_store_will_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def usage(path: Path) -> SimpleNamespace:
        asked.append(path)
        return SimpleNamespace(free=3 << 20)

    monkeypatch.setattr("shutil.disk_usage", usage)
    monkeypatch.chdir(tmp_path)
    Store(tmp_path / "a" / "b").check_room(3 << 20)
    with pytest.raises(OSError, match="5 MiB are needed, 3 MiB are free"):
        Store(Path("a/b")).check_room(5 << 20)

    assert asked == [tmp_path, tmp_path]


def test_a_second_wish_is_found(tmp_path: Path) -> None:
    """Nothing is made again."""
    store = Store(tmp_path)
    store.get("kind", "key", lambda directory: None)

    _, made = store.get("kind", "key", lambda directory: pytest.fail("made again"))

    assert not made


def test_what_nobody_asked_for_in_a_month_makes_room(tmp_path: Path) -> None:
    """When something new is made; asking for it counts as use."""
    store, long_ago = Store(tmp_path), time.time() - KEPT_S - 60
    for key in ("unused", "used"):
        directory, _ = store.get("kind", key, lambda directory: None)
        os.utime(directory, (long_ago, long_ago))
    store.get("kind", "used", lambda directory: None)

    store.get("kind", "new", lambda directory: None)

    assert {path.name for path in (tmp_path / "kind").iterdir() if path.is_dir()} == {"used", "new"}


def test_what_another_process_has_just_put_in_its_place_is_left(tmp_path: Path) -> None:
    """It was listed under the name that it had while it was made."""
    (tmp_path / "made.tmp").mkdir()
    with os.scandir(tmp_path) as found:
        (listed,) = found
    (tmp_path / "made.tmp").rename(tmp_path / "made")

    assert not is_unused(listed, time.time() + 1)


def test_a_key_depends_on_every_fact_and_not_on_their_order() -> None:
    """The name of an artefact says what it was made from."""
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})
    assert key_of({"a": 1, "b": 2}) != key_of({"a": 1, "b": 3})


def test_a_store_is_made_for_us_alone(tmp_path: Path) -> None:
    """All of it, whatever the umask is."""
    root = tmp_path / "cache" / "raylax"
    before = os.umask(0)
    try:
        directory, _ = Store(root).get("kind", "key", lambda made: (made / "file").touch())
    finally:
        os.umask(before)
    modes = [path.stat().st_mode & 0o777 for path in (root.parent, root, directory)]

    assert modes == [0o700] * 3
    assert (directory / "file").stat().st_mode & 0o022 == 0


@pytest.mark.parametrize("part", ["", "kind", "kind/key", "kind/key/step.so"])
def test_what_another_user_could_replace_is_not_loaded(tmp_path: Path, part: str) -> None:
    """Be it the store, or a file of the artefact; nor is it made anew there."""
    store, made = Store(tmp_path / "store"), list[Path]()
    store.get("kind", "key", lambda directory: (directory / "step.so").touch())
    (tmp_path / "store" / part).chmod(0o777)

    with pytest.raises(UntrustedPath, match="chmod go-w"):
        store.get("kind", "key", made.append)
    with pytest.raises(UntrustedPath, match="chmod go-w"):
        store.find("kind", "key")
    assert made == []


def test_nothing_is_made_where_another_user_may_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)

    with pytest.raises(UntrustedPath, match=f"{tmp_path} can be written"):
        Store(tmp_path / "store").get("kind", "key", lambda _: None)
    assert list(tmp_path.iterdir()) == []
