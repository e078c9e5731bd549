"""Finds and ends the processes of one run: all that descend from it or bear its mark."""

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from raylax.cluster.environment import RUN_DIRECTORY

POLL_S = 0.05
PROC = Path("/proc")
PR_SET_CHILD_SUBREAPER = 36
ENDED = ("Z", "X")
STOPPED = "T"
"""By a signal; a debugger's halt is another state."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process as the kernel tells of it."""

    pid: int
    parent: int
    state: str
    """One letter, see proc(5)."""
    started: int
    """When, in ticks since the machine began: with the pid it is a name that is not used again."""

    @property
    def ended(self) -> bool:
        """Whether it has ended, or waits to be collected."""
        return self.state in ENDED


def look_up(pid: int, proc: Path = PROC) -> Process | None:
    """The process of this number; None if there is none."""
    try:
        after_name = (proc / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return Process(pid, int(after_name[1]), after_name[0], int(after_name[19]))


def all_processes(proc: Path = PROC) -> list[Process]:
    """Every process of this machine."""
    pids = (int(entry.name) for entry in proc.iterdir() if entry.name.isdigit())
    return [found for pid in pids if (found := look_up(pid, proc)) is not None]


def arguments_of(pid: int, proc: Path = PROC) -> list[str]:
    """Its command line, empty if it has none. What renames itself writes over all of it."""
    try:
        text = (proc / str(pid) / "cmdline").read_text(errors="replace")
    except OSError:
        return []
    return [part.strip() for part in text.split("\0") if part.strip()]


def adopt_orphans() -> None:
    """Processes whose parent has ended become children of this one, and stay descendants."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def collect(processes: Iterable[Process], parent: int, but: int) -> None:
    """Let go of the children of this process, `parent`, that have ended, except `but`, for which
    somebody waits."""
    for process in processes:
        if process.parent == parent and process.ended and process.pid != but:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)


def members_of_run(root: int, directory: Path, proc: Path = PROC) -> list[Process]:
    """All living processes of a run, without `root` itself and without this one.

    A renamed process may lose its mark, an orphan its parent; none loses both before we look.
    """
    everything = all_processes(proc)
    ours = below(root, everything) | marked(directory, everything, proc)
    return [p for p in everything if p.pid in ours - {root, os.getpid()} and not p.ended]


def below(root: int, processes: Iterable[Process]) -> set[int]:
    """Pids of children, their children and so on, by what the kernel says of each one's parent."""
    children: dict[int, list[int]] = {}
    for process in processes:
        children.setdefault(process.parent, []).append(process.pid)
    found, todo = set[int](), [root]
    while todo:
        more = children.get(todo.pop(), [])
        found.update(more)
        todo += more
    return found


def descendants(pid: int) -> set[int]:
    """Pids of a process's children, their children and so on, now."""
    return below(pid, all_processes())


def marked(directory: Path, processes: Iterable[Process], proc: Path = PROC) -> set[int]:
    """Pids of those that inherited the run's mark, wherever they hang in the tree."""
    mark = f"{RUN_DIRECTORY}={directory}".encode()
    found = set[int]()
    for process in processes:
        with contextlib.suppress(OSError):
            if mark in variables_of(process.pid, proc):
                found.add(process.pid)
    return found


def run_of(pid: int, proc: Path = PROC) -> Path | None:
    """The directory of the run whose mark this process bears."""
    beginning = f"{RUN_DIRECTORY}=".encode()
    with contextlib.suppress(OSError):
        for variable in variables_of(pid, proc):
            if variable.startswith(beginning):
                return Path(os.fsdecode(variable.removeprefix(beginning)))
    return None


def variables_of(pid: int, proc: Path) -> list[bytes]:
    """NAME=value, each, as this process was given them. Raises OSError."""
    return (proc / str(pid) / "environ").read_bytes().split(b"\0")


def pids_of_run(root: int, directory: Path) -> set[int]:
    """Pids of all living processes of a run, without `root` itself and without this one."""
    return {process.pid for process in members_of_run(root, directory)}


def running(pids: Iterable[int]) -> list[int]:
    """Those that have not ended."""
    return [pid for pid in pids if (found := look_up(pid)) is not None and not found.ended]


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
