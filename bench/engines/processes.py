"""Processes that we start, and that never outlive us.

Each has a session of its own, so that Ctrl-C reaches us alone; we then end all of them at once.
"""

import contextlib
import os
import re
import signal
import subprocess
from typing import IO, Any

from raylax.cluster.startup.signals import undisturbed


def start(command: list[str], **options: Any) -> subprocess.Popen[str]:
    """A signal that comes meanwhile waits until it is known whom to end: a process that has begun
    before `Popen` returned would outlive us."""
    process = None
    try:
        with undisturbed():
            process = subprocess.Popen(command, text=True, start_new_session=True, **options)
        return process
    except BaseException:
        if process is not None:
            end(process)
        raise


def end(process: subprocess.Popen[str]) -> None:
    """At once, and whatever it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def last_error(file: IO[str]) -> str:
    """The last line that speaks of an error, else the last one."""
    file.seek(0)
    lines = [line for line in file.read().splitlines() if line.strip()]
    told = [line for line in lines if re.search("error|fail|cannot|exception", line, re.I)]
    return (told or lines or [""])[-1]


def peak_mb(pid: int | str = "self") -> float:
    """The most that was ever resident; mapped files count where they were touched."""
    with open(f"/proc/{pid}/status") as file:
        found = re.search(r"VmHWM:\s+(\d+)", file.read())
    assert found is not None
    return int(found[1]) / 1024
