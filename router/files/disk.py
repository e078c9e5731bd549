"""Files that are either as before or as wanted, whenever a process dies, and locks that the kernel
lets go of when it does."""

import asyncio
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")


async def aside(work: Callable[[], Result]) -> Result:
    """The result of `work`, which waits for a disk, on a thread. Who is cancelled waits for its
    end: whatever lock it needs is held until then."""
    running = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise


def make_directory(path: Path) -> None:
    """For its user alone, with those above it."""
    for missing in [path, *path.parents][::-1]:
        with suppress(FileExistsError):
            missing.mkdir(mode=0o700)


def sync_directory(path: Path) -> None:
    """What was renamed within it stays so."""
    file = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def write_whole(path: Path, data: bytes) -> None:
    """In place of what was there, at once. One writer at a time."""
    made = path.with_name(f"{path.name}.new")
    file = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_all(file, data)
        os.fsync(file)
    finally:
        os.close(file)
    made.rename(path)
    sync_directory(path.parent)


def write_all(file: int, data: bytes | bytearray) -> None:
    """Raises OSError, with nothing or a part of it written."""
    with memoryview(data) as view:
        at = 0
        while at < len(view):
            at += os.write(file, view[at:])


def remove_directory(path: Path) -> None:
    """At once for who looks for it. What is left of it when a process dies goes at the next
    sweep."""
    gone = path.with_name(f"{path.name}.gone")
    with suppress(FileNotFoundError):
        path.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Alone among all processes, for a moment."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


class Lease:
    """A file that one process holds for as long as it likes, and lives.

    The kernel's lock instead of heartbeats: it is free at once when its holder dies, and no holder
    that was only slow finds that another one has begun.
    """

    def __init__(self, path: Path, file: int) -> None:
        self.path, self._file = path, file

    @classmethod
    def take(cls, path: Path, make: bool = False) -> "Lease | None":
        """None for one that is held, or is not there; `make`: then it is made."""
        try:
            file = os.open(path, os.O_RDWR | (os.O_CREAT if make else 0), 0o600)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        if os.fstat(file).st_nlink == 0:  # its holder has ended it meanwhile
            os.close(file)
            return cls.take(path, make)
        return cls(path, file)

    def end(self) -> None:
        """Nobody is to take it again."""
        self.path.unlink(missing_ok=True)
        self.give_back()

    def give_back(self) -> None:
        """Others may take it."""
        os.close(self._file)
