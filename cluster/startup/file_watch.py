"""Notices that a file is another one, or says something else, than before."""

import time
from collections.abc import Callable
from pathlib import Path

LOOK_EVERY_S = 1.0
Stamp = tuple[Path, int, int, int]
"""Of a file: its name, which one it is, how large, and when it was written. A time of day, which
may jump, tells one from the other all the same."""


class FileWatch:
    """Of one file at a time. Used by one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._due = clock, clock()
        self._told: Stamp | None = None
        self._seen: Stamp | None = None

    def changed(self, path: Path | None) -> bool:
        """Whether it is to be read: for the first time, and again after each change. One that was
        not the same at the last look is not: somebody may still write. Looks every second."""
        if path is None or self._clock() < self._due:
            return False
        self._due = self._clock() + LOOK_EVERY_S
        now = stamp_of(path)
        settled, self._seen = now == self._seen, now
        if not settled or now == self._told:
            return False
        self._told = now
        return True


def stamp_of(path: Path) -> Stamp:
    """Of what lies there now, through links; zeros for nothing."""
    try:
        found = path.stat()
    except OSError:
        return path, 0, 0, 0
    return path, found.st_ino, found.st_size, found.st_mtime_ns
