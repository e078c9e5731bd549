"""Finds and ends the processes of one run: all that descend from it or bear its mark."""

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from raylax.cluster.environment import RUN_DIRECTORY

POLL_S = 0.05


def pids_of_run(root: int, directory: Path) -> set[int]:
    """All processes of a run, without `root` itself and without this one.

    A renamed process loses its mark, an orphan its parent; none loses both before we look.
    """
    return {*descendants(root), *marked(directory)} - {root, os.getpid()}


def marked(directory: Path) -> list[int]:
    """Pids of the processes that inherited the run's mark, wherever they hang in the tree."""
    mark = f"{RUN_DIRECTORY}={directory}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0") and alive(entry):
                    found.append(int(entry.name))
    return found


def alive(entry: Path) -> bool:
    """Whether a process, by its folder in /proc, has neither ended nor waits to be collected."""
    return (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] not in ("Z", "X")


def descendants(pid: int) -> list[int]:
    """Children, their children and so on, by what the kernel says of each process's parent."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        more = children.get(todo.pop(), [])
        found += more
        todo += more
    return found


def running(pids: Iterable[int]) -> list[int]:
    """Those that have not ended."""
    left = []
    for pid in pids:
        with contextlib.suppress(OSError):
            if alive(Path(f"/proc/{pid}")):
                left.append(pid)
    return left


def end_all(root: int, directory: Path, patience_s: float) -> list[int]:
    """Kill everything of a run but `root`, until nothing is left; what is left after all.

    None of it needs a goodbye: all that it keeps lies in the run's directory. Whoever was born
    while we looked is found the next time round.
    """
    deadline = time.monotonic() + patience_s
    known: set[int] = set()
    while time.monotonic() < deadline:
        known |= pids_of_run(root, directory)
        if not (left := running(known)):
            break
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_S)
    return running(known)
