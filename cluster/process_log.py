"""What our processes log, in files of a run's directory: errors at once, never more than has its
bounds.

Serve would keep lines back until it has a thousand of them, and takes whatever is written to the
standard error for news, not for trouble.
"""

import logging
import os
import re
import time
from contextlib import suppress
from datetime import datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from raylax.cluster.environment import logs_of, ray_directory
from raylax.cluster.supervision.processes import arguments_of
from raylax.cluster.supervision.roles import name_of

MOST_BYTES = 8 << 20
"""Of a file; there is one older one beside it."""
MOST_FILES = 64
"""Of a run: each process that is replaced leaves one."""
LAST_BYTES = 16 << 10
"""Of each file, where all of them are shown together."""
RECENT_S = 60.0
NO_MEMORY = re.compile(r"bad_alloc|MemoryError|Cannot allocate memory|mmap error: 12\b")
BY_SIGNAL = re.compile(r"\*\*\* (SIG[A-Z]+) received|Fatal Python error: ([^\n]+)")
ERROR = re.compile(r"(\S{23}Z) (?:ERROR|CRITICAL) \S+: (.*)")
LINE = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s"


class ProcessLog(RotatingFileHandler):
    """The file of this process, named by what the process is for and its id. It is made with the
    first line: before that Ray has not told the process what it is. A line for which the disk has
    no room is lost, and the process goes on."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._named = directory, False
        super().__init__(directory / "log", maxBytes=MOST_BYTES, backupCount=1, delay=True)
        formatter = logging.Formatter(LINE, "%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        self.setFormatter(formatter)

    def _open(self):  # type: ignore[no-untyped-def]  # as in typeshed, which has it private
        if not self._named:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            name = name_of(arguments_of(os.getpid()))
            self.baseFilename = str(self._directory / f"{name}-{os.getpid()}.log")
            make_room(self._directory)
            self._named = True
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:
        pass


def log_to_a_file(directory: Path) -> None:
    """From now on: of ours all but what is for debugging, of libraries their warnings."""
    handler = ProcessLog(logs_of(directory))
    logging.getLogger().addHandler(handler)
    logging.getLogger("raylax").setLevel(logging.INFO)


def make_room(directory: Path) -> None:
    """For one more file: the oldest ones go."""
    for path in by_age(directory)[: -(MOST_FILES - 1)]:
        path.unlink(missing_ok=True)


def by_age(directory: Path) -> list[Path]:
    """The logs that lie there, the one that was written last at the end."""
    found = []
    for path in directory.glob("*.log*"):
        with suppress(FileNotFoundError):  # another process makes room, too
            found.append((path.stat().st_mtime, path))
    return [path for _, path in sorted(found)]


def trouble_of(directory: Path, pid: int) -> str:
    """What the last error in the log of this process says, in the last minute, or what its end has
    left where Ray keeps the standard error; empty for neither."""
    found = ""
    for path in logs_of(directory).glob(f"*-{pid}.log"):
        for line in end_of(path).splitlines():
            if (said := ERROR.match(line)) and time.time() - read_time(said[1]) < RECENT_S:
                found = said[2]
    return found or end_written(directory, pid)


def end_written(directory: Path, pid: int) -> str:
    """By which signal a process has ended itself, as libraries write it down meanwhile; for want of
    memory above all."""
    for path in (ray_directory(directory) / "session_latest" / "logs").glob(f"*-{pid}.err"):
        text = beginning_of(path) + end_of(path)
        if NO_MEMORY.search(text):
            return "it found no more memory"
        if (by := BY_SIGNAL.search(text)) is not None:
            return f"it ended by {by[1] or by[2]}"
    return ""


def read_time(written: str) -> float:
    """Seconds since 1970, of a line's beginning."""
    return datetime.fromisoformat(written).timestamp()


def beginning_of(path: Path) -> str:
    """Of a log, as it is now; empty for one that is gone."""
    return part_of(path, 0)


def end_of(path: Path) -> str:
    """Of a log, as it is now; empty for one that is gone."""
    return part_of(path, -LAST_BYTES)


def part_of(path: Path, start: int) -> str:
    """LAST_BYTES from there on, at most; below zero counted from the end."""
    try:
        with path.open("rb") as file:
            file.seek(start if start >= 0 else max(0, path.stat().st_size + start))
            return file.read(LAST_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return ""


def last_words(directory: Path) -> str:
    """The end of every log of the run, the one that was written last at the end."""
    return "\n".join(f"{path.name}:\n{end_of(path)}" for path in by_age(logs_of(directory)))
