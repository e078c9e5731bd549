"""Real processes that hide as Ray's do: renamed ones, orphans, ones that do not want to end."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from raylax.cluster.environment import RUN_DIRECTORY
from raylax.cluster.supervision.processes import (
    all_processes,
    descendants,
    end_all,
    marked,
    pids_of_run,
    running,
)

PATIENCE_S = 10.0
SLEEP = "import time; time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def parent_of(child: str, then: str) -> str:
    """Starts a child, says its pid, goes on."""
    return (
        "import os, subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], env={{}})\n"
        f"print(child.pid, flush=True)\n{then}"
    )


@contextmanager
def process(code: str, directory: Path | None = None) -> Iterator["subprocess.Popen[str]"]:
    """One of a run's processes, or, without its directory, somebody else's."""
    env = {RUN_DIRECTORY: str(directory)} if directory else {}
    one = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True)
    try:
        yield one
    finally:
        one.kill()
        one.wait()
        assert one.stdout is not None
        one.stdout.close()


def said_by(one: "subprocess.Popen[str]") -> int:
    assert one.stdout is not None
    return int(one.stdout.readline())


def marked_by(directory: Path) -> set[int]:
    """Those that live."""
    return marked(directory, [one for one in all_processes() if not one.ended])


def test_descendants_are_found_without_the_mark(tmp_path: Path) -> None:
    """A process that renames itself overwrites its environment."""
    with process(parent_of(SLEEP, SLEEP), tmp_path) as root:
        child = said_by(root)
        until(lambda: descendants(root.pid) == {child})

        assert child not in marked_by(tmp_path)
        assert pids_of_run(root.pid, tmp_path) == {child}
        end_all(root.pid, tmp_path, PATIENCE_S)


def test_orphans_are_found_by_the_mark(tmp_path: Path) -> None:
    orphan = parent_of(SLEEP, "os._exit(0)").replace("env={}", "env=os.environ")
    with process(orphan, tmp_path) as parent:
        child = said_by(parent)
        parent.wait()
        until(lambda: child in marked_by(tmp_path))

        assert child not in descendants(os.getpid())
        assert end_all(parent.pid, tmp_path, PATIENCE_S) == []
        assert running([child]) == []


def test_everything_of_a_run_ends_and_nothing_else(tmp_path: Path) -> None:
    """Also what ignores a polite request. The root is left: it is the one who ends."""
    mine, others = tmp_path / "mine", tmp_path / "others"
    with (
        process(parent_of(STUBBORN, SLEEP), mine) as root,
        process(STUBBORN, mine) as elsewhere,
        process(SLEEP, others) as neighbour,
        process(SLEEP) as stranger,
    ):
        child = said_by(root)
        until(lambda: len(pids_of_run(root.pid, mine)) == 2)
        begun = time.monotonic()
        left = end_all(root.pid, mine, PATIENCE_S)

        assert left == []
        assert time.monotonic() - begun < 2
        assert running([child, elsewhere.pid]) == []
        assert running([root.pid, neighbour.pid, stranger.pid]) == [
            root.pid, neighbour.pid, stranger.pid,
        ]  # fmt: skip


def test_what_is_born_meanwhile_ends_as_well(tmp_path: Path) -> None:
    """A process that starts another whenever one ends, as Ray's does with workers."""
    restarting = (
        "import subprocess, sys\n"
        "while True:\n"
        f"    one = subprocess.Popen([sys.executable, '-c', {SLEEP!r}])\n"
        "    print(one.pid, flush=True)\n"
        "    one.wait()\n"
    )
    with process(SLEEP, tmp_path) as root, process(restarting, tmp_path) as parent:
        said_by(parent)

        assert end_all(root.pid, tmp_path, PATIENCE_S) == []
        assert marked_by(tmp_path) == {root.pid}


def test_the_dead_that_wait_for_their_parent_do_not_count(tmp_path: Path) -> None:
    with process("", tmp_path) as ended:
        until(lambda: running([ended.pid]) == [])

        assert Path(f"/proc/{ended.pid}").exists()
        assert marked_by(tmp_path) == set()


@pytest.mark.parametrize("pid", [0, 4_194_305])
def test_a_pid_of_nobody(pid: int) -> None:
    assert running([pid]) == []
