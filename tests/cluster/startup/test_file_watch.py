"""A file that changes is read again, once for each change, when nobody writes any more."""

import os
from pathlib import Path

import pytest

from raylax.cluster.startup.file_watch import LOOK_EVERY_S, FileWatch


class Watched:
    """A file, its watch, and a clock that goes on by a look each."""

    def __init__(self, path: Path) -> None:
        self.path, self._now = path, 0.0
        self.write("one")
        self.watch = FileWatch(lambda: self._now)
        assert self.looks(3) == [False, True, False]

    def write(self, text: str) -> None:
        self.path.write_text(text)

    def looks(self, count: int, every_s: float = LOOK_EVERY_S) -> list[bool]:
        """What so many of them come to."""
        found = []
        for _ in range(count):
            self._now += every_s
            found.append(self.watch.changed(self.path))
        return found


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "keys.yaml")


def test_a_change_is_told_once(watched: Watched) -> None:
    watched.write("another")

    assert watched.looks(4) == [False, True, False, False]


def test_a_file_that_is_still_written_is_left_alone(watched: Watched) -> None:
    found = []
    for length in range(10, 15):
        watched.write("x" * length)
        found += watched.looks(1)

    assert found == [False] * 5
    assert watched.looks(2) == [True, False]


def test_one_that_takes_its_place_is_a_change(watched: Watched, tmp_path: Path) -> None:
    """Of the same size and time, as editors and mounted secrets have it: through a link, too."""
    other = tmp_path / "other"
    other.write_text("two")
    was = watched.path.stat()
    os.utime(other, ns=(was.st_atime_ns, was.st_mtime_ns))
    watched.path.unlink()
    watched.path.symlink_to(other)

    assert watched.looks(3) == [False, True, False]


def test_its_end_is_a_change_and_so_is_its_return(watched: Watched) -> None:
    watched.path.unlink()
    assert watched.looks(3) == [False, True, False]
    watched.write("again")
    assert watched.looks(3) == [False, True, False]


def test_a_time_that_jumps_back_is_a_change(watched: Watched) -> None:
    os.utime(watched.path, (1000, 1000))

    assert watched.looks(3) == [False, True, False]


def test_another_file_is_a_change(watched: Watched) -> None:
    """Of the same content and age: a hard link."""
    (other := watched.path.with_name("other")).hardlink_to(watched.path)
    watched.path = other

    assert watched.looks(3) == [False, True, False]


def test_nobody_looks_more_often(watched: Watched) -> None:
    watched.write("another")

    assert watched.looks(8, LOOK_EVERY_S / 4).count(True) <= 1


def test_no_file_never_changes() -> None:
    assert not FileWatch().changed(None)
