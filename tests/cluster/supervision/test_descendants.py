"""Processes are found once, and looked at often. The kernel's tables here are files of a test."""

from pathlib import Path

from raylax.cluster.supervision.descendants import FIND_EVERY_S, Descendants
from raylax.cluster.supervision.processes import Process

ROOT, DRIVER = 10, 11


class Table:
    """Stands for /proc; each look at a process is counted."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.now = directory, 100.0
        (directory / "self").mkdir()
        self.put(1, parent=0)
        self.put(ROOT, parent=1)
        self.put(DRIVER, parent=ROOT)
        self.put(12, parent=DRIVER)
        self.put(99, parent=1)
        self.watched = Descendants(ROOT, DRIVER, lambda: self.now, directory)

    def put(self, pid: int, parent: int, state: str = "S", started: int = 5) -> None:
        folder = self.directory / str(pid)
        folder.mkdir(exist_ok=True)
        after = [state, str(parent), *["0"] * 17, str(started), "0"]
        (folder / "stat").write_text(f"{pid} (a name) of ) two) {' '.join(after)}\n")

    def take(self, pid: int) -> None:
        (self.directory / str(pid) / "stat").unlink()

    def living(self) -> list[tuple[int, str]]:
        return sorted((one.pid, one.state) for one in self.watched.living())


def test_those_below_are_seen_and_nobody_else(tmp_path: Path) -> None:
    table = Table(tmp_path)

    assert table.living() == [(DRIVER, "S"), (12, "S")]


def test_what_is_known_is_looked_at_each_time(tmp_path: Path) -> None:
    """Whether it stops, ends, or its number is used again."""
    table = Table(tmp_path)
    table.living()
    table.put(12, parent=DRIVER, state="T")
    stopped = table.living()
    table.put(12, parent=DRIVER, state="Z")
    ended = table.living()
    table.put(12, parent=DRIVER, started=6)
    another = table.living()
    table.take(DRIVER)

    assert stopped == [(DRIVER, "S"), (12, "T")]
    assert ended == [(DRIVER, "S")]
    assert another == [(DRIVER, "S")]
    assert table.living() == []


def test_who_is_new_is_found_after_a_while(tmp_path: Path) -> None:
    table = Table(tmp_path)
    table.living()
    table.put(13, parent=12)
    before = table.living()
    table.now += FIND_EVERY_S

    assert before == [(DRIVER, "S"), (12, "S")]
    assert table.living() == [*before, (13, "S")]


def test_a_process_has_a_name_that_is_not_used_again(tmp_path: Path) -> None:
    table = Table(tmp_path)

    assert Process(12, DRIVER, "S", 5) in table.watched.living()
