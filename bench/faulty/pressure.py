"""What a process or a cluster can be hit with: its end, its halt, and what it needs taken away.

A limit is the kernel's for one process, and is not inherited by who takes its place.
"""

import os
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from raylax.cluster.supervision.roles import Role

WITHOUT_S = 10.0
"""How long something is taken away."""
DISK_BYTES = 256 << 20
"""Of the disk that is filled: a run has some MiB there."""
ANYBODY = Role.CONTROLLER
"""Where no single process is struck."""
PIECE = b"\0" * (1 << 16)
Undo = Callable[[], None]
"""Gives back what was taken."""


def signalled(number: signal.Signals) -> Callable[[int, Path], Undo]:
    def strike(pid: int, directory: Path) -> Undo:
        os.kill(pid, number)
        return lambda: None

    return strike


def without(kind: int, has: Callable[[int], int]) -> Callable[[int, Path], Undo]:
    """Nothing more of a resource than the process has by now."""

    def strike(pid: int, directory: Path) -> Undo:
        before = resource.prlimit(pid, kind)
        resource.prlimit(pid, kind, (has(pid), before[1]))

        def undo() -> None:
            with suppress(ProcessLookupError):
                resource.prlimit(pid, kind, before)

        return undo

    return strike


def address_space(pid: int) -> int:
    """Bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


def highest_descriptor(pid: int) -> int:
    """What the limit is compared with; so many could be open, too."""
    return max(int(entry) for entry in os.listdir(f"/proc/{pid}/fd")) + 1


def fill(pid: int, directory: Path) -> Undo:
    """No byte is left on the disk where the run lies."""
    ballast = directory / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(PIECE):
            pass
    return ballast.unlink


@dataclass(frozen=True)
class Blow:
    """Something that happens to one process of a cluster, or to all of it."""

    name: str
    strike: Callable[[int, Path], Undo]
    roles: frozenset[Role] | None = None
    """Which processes it may hit; None: all of them."""
    ends: bool = False
    """Whether the process is to be replaced."""
    whom: str = ""
    """If it is no single process, who it is."""

    @property
    def needs_a_disk(self) -> bool:
        return self.strike is fill


BLOWS = (
    Blow("KILL", signalled(signal.SIGKILL), ends=True),
    Blow("STOP", signalled(signal.SIGSTOP), ends=True),
    Blow(
        "memory",
        without(resource.RLIMIT_AS, address_space),
        frozenset({Role.WORKER, Role.ROUTER}),
    ),
    Blow(
        "descriptors",
        without(resource.RLIMIT_NOFILE, highest_descriptor),
        frozenset({Role.ROUTER, Role.WORKER, Role.HAPROXY, Role.CONTROLLER, Role.MANAGER}),
    ),
    Blow("disk", fill, whom="all"),
)


def blows_of(roles: Iterable[Role], names: Collection[str]) -> list[tuple[Role, Blow]]:
    """What is to happen, in this order: each blow of these names to whom of the roles it may hit,
    and what hits a whole cluster once."""
    known = [blow for blow in BLOWS if blow.name in names]
    pairs = [
        (role, blow)
        for role in roles
        for blow in known
        if not blow.whom and (blow.roles is None or role in blow.roles)
    ]
    return [*pairs, *((ANYBODY, blow) for blow in known if blow.whom)]


@contextmanager
def temporary_directory(small: bool = False) -> Iterator[Path]:
    """A short one: sockets lie deep below it. `small`: on a disk of its own, which takes root."""
    at = Path(tempfile.mkdtemp(prefix="", dir="/tmp"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=700", "raylax-chaos", at]
    if small:
        subprocess.run(mount, check=True)
    try:
        yield at
    finally:
        if small:
            subprocess.run(["umount", "--lazy", at], check=True)
        shutil.rmtree(at, ignore_errors=True)
