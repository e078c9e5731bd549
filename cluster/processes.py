"""Finds and ends the processes of one run: all that inherited its mark, and no other."""

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from raylax.cluster.environment import RUN_DIRECTORY


def marked(directory: Path) -> list[int]:
    """Pids of our processes, but for this one, wherever they hang in the tree."""
    mark = f"{RUN_DIRECTORY}={directory}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0") and alive(entry):
                    found.append(int(entry.name))
    return found


def alive(entry: Path) -> bool:
    """Neither ended nor waiting to be collected."""
    return (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] not in ("Z", "X")


def descendants(pid: int) -> list[int]:
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
    left = []
    for pid in pids:
        with contextlib.suppress(OSError):
            if alive(Path(f"/proc/{pid}")):
                left.append(pid)
    return left


def end_all(directory: Path, patience_s: float) -> None:
    """Ask, wait, then insist. Descendants and marked ones: a renamed process loses its mark, an
    orphan its parent, and none loses both before we look."""
    pids = {*descendants(os.getpid()), *marked(directory)}
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in running(pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + patience_s
        while running(pids) and time.monotonic() < deadline:
            collect_children()
            time.sleep(0.05)
        pids |= set(marked(directory))
        if not running(pids):
            return


def collect_children() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
