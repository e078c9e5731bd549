"""One run after another: starts that fail, clusters that die, changes that are asked for."""

import io
import os
import signal
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from raylax.cluster.config.reading import read_config
from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.errors import ClusterLost, UserError
from raylax.cluster.startup.asked import Asked
from raylax.cluster.startup.runs import Runs, run_directory
from raylax.cluster.startup.signals import NUMBERS, RELOAD, Stopping, stop_on_signals
from raylax.cluster.supervision.restarts import MOST, WITHIN_S
from raylax.cluster.supervision.supervisor import ClusterDied
from raylax.router.access.keys import hash_of

DIED = ClusterDied("raylet (pid 7) died", "its log")
BUSY = ClusterLost("busy", "1")


class ScriptedRuns(Runs):
    """Whose runs come to what they are told; each takes `run_s`."""

    def __init__(self, *outcomes: Exception | None, run_s: float = 1.0) -> None:
        self.console = Console(record=True, width=200, file=io.StringIO())
        super().__init__(ClusterConfig(), ClusterConfig, lambda *_: None, self.console)
        self.outcomes, self.now, self._run_s = list(outcomes), 0.0, run_s

    def run(self, directory: Path) -> None:
        self.now += self._run_s
        outcome = self.outcomes.pop(0)
        if outcome is None:
            raise Stopping(signal.SIGINT)
        self.have_served |= isinstance(outcome, ClusterDied)
        raise outcome

    def end(self) -> str:
        """What their end is, in words."""
        with pytest.raises((Stopping, UserError)) as caught:
            self.keep_serving(lambda: self.now)
        return "stopped" if caught.type is Stopping else str(caught.value)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where runs write."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("outcomes", "end", "left", "logs"),
    [
        ([None, None], "stopped", 1, []),
        ([BUSY, None], "stopped", 0, []),
        ([BUSY, ClusterLost("busy again", "2"), None], "busy again", 1, ["2"]),
        ([UserError("a mistake"), None], "a mistake", 1, []),
        ([DIED, None], "stopped", 0, []),
        ([BUSY, DIED, BUSY, BUSY, None], "stopped", 0, []),
        ([DIED, UserError("the port is taken"), None], "the port is taken", 1, []),
    ],
)
def test_what_nobody_made_a_mistake_with_is_started_again(
    outcomes: list[Exception | None], end: str, left: int, logs: list[str], temporary: Path
) -> None:
    """A first start once, what did serve more often. The log is kept only where no other start
    follows, for us alone."""
    runs = ScriptedRuns(*outcomes)
    found = runs.end()
    kept = list(temporary.iterdir())

    assert found == (f"{end}; its log: {kept[0]}" if kept else end)
    assert len(runs.outcomes) == left
    assert [file.read_text() for file in kept] == logs
    assert all(file.stat().st_mode & 0o077 == 0 for file in kept)


def test_a_cluster_that_dies_again_and_again_is_given_up() -> None:
    """The last line says why, and how often it was tried."""
    runs = ScriptedRuns(*[DIED] * 20)
    why = f"{DIED}; not started again after {MOST} restarts within 10 minutes; its log: "

    assert runs.end().startswith(why)
    assert len(runs.outcomes) == 20 - MOST - 1


def test_one_that_dies_now_and_then_is_not() -> None:
    runs = ScriptedRuns(*[DIED] * 20, None, run_s=WITHIN_S / MOST + 1)

    assert runs.end() == "stopped"
    assert runs.console.export_text().count("starting once more: raylet (pid 7) died") == 20


def test_a_signal_while_the_directory_is_made_leaves_none(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its making and its noting, where nobody would know of it."""
    made: list[Path] = []

    def interrupted() -> Path:
        made.append(temporary / "run")
        made[0].mkdir()
        os.kill(os.getpid(), signal.SIGTERM)
        return made[0]

    monkeypatch.setattr("raylax.cluster.environment.make_run_directory", interrupted)
    before = {number: signal.getsignal(number) for number in (*NUMBERS, RELOAD)}
    try:
        stop_on_signals()
        with pytest.raises(Stopping), run_directory():
            pytest.fail("it was told to stop")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

    assert made != []
    assert list(temporary.iterdir()) == []


class Told:
    """In a driver's place: knows what it was told."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    def send(self, asked: Asked) -> None:
        self.asked.append(asked)


class KeysInAFile:
    """Runs that look at a file of keys, whose other file says something else by now."""

    def __init__(self, directory: Path) -> None:
        self.keys = directory / "keys.yaml"
        self.write("bob")
        (file := directory / "raylax.yaml").write_text(
            f"keys: [{entry('alice')}]\napi_keys_file: {self.keys}\n"
        )
        config = read_config(file, {})
        file.write_text("not: valid")
        self.console, self.told = Console(record=True, width=300, file=io.StringIO()), Told()
        self.runs = Runs(config, lambda: read_config(file, {}), lambda *_: None, self.console)

    def write(self, *names: str) -> None:
        self.keys.write_text(f"keys: [{', '.join(map(entry, names))}]")

    def look(self) -> str:
        """What is said within some looks."""
        for _ in range(4):
            self.runs._look_at_keys(cast(Any, self.told))
        return self.console.export_text()

    @property
    def names(self) -> list[list[str]]:
        return [[key.name for key in one.config.keys] for one in self.told.asked]

    def applied(self) -> None:
        self.runs._config, self.runs._asked = self.told.asked[-1].config, None


def entry(name: str) -> str:
    return f"{{name: {name}, sha256: {hash_of(name)}}}"


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeysInAFile:
    monkeypatch.setattr("raylax.cluster.startup.file_watch.LOOK_EVERY_S", 0.0)
    return KeysInAFile(tmp_path)


def test_keys_of_a_file_that_changes_are_told_without_a_signal(keys: KeysInAFile) -> None:
    """Beside those of the configuration, which stays as it was: nobody has asked for a change of
    it. One change waits for the other."""
    assert keys.look() == ""
    keys.write("bob", "carol")
    assert keys.look() == f"applying the keys of {keys.keys} as they are now\n"
    keys.write("dave")
    assert keys.look() == ""
    keys.applied()
    keys.look()

    assert keys.names == [["alice", "bob", "carol"], ["alice", "dave"]]
    assert keys.told.asked[-1].by == f"somebody ({keys.keys})"


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda file: file.write_text("keys: [{name: bob}]"), ": keys.0.sha256: Field required"),
        (lambda file: file.write_text("keys: ["), ": not valid YAML: "),
        (lambda file: file.write_text(f"keys: [{entry('alice')}]"), ": keys: each needs its own"),
        (Path.unlink, ": cannot be read: No such file or directory"),
        (
            lambda file: [do(file) for do in (Path.unlink, os.mkfifo)],
            ": must be a regular file, found a FIFO",
        ),
    ],
)
def test_a_mistake_there_is_said_once_and_the_keys_stay(
    keys: KeysInAFile, spoil: Any, why: str
) -> None:
    keys.look()
    spoil(keys.keys)
    said = keys.look()

    assert said.startswith(f"not applied: {keys.keys}{why}")
    assert keys.look() == "" and keys.names == []
    keys.keys.unlink(missing_ok=True)
    keys.write("carol")
    keys.look()
    assert keys.names == [["alice", "carol"]]
