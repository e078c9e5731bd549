"""GPUs that were lost here of late: a file for each process that lost one, in the store.

A GPU may be lost once and be sound, as by a program's fault. One that was lost again is tried
before a model is loaded on it, by a process that is given up on when it hangs: who does not answer
is not used on this node until it does.
"""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from raylax.kernels.cuda import driver
from raylax.kernels.errors import CompileError
from raylax.kernels.store import default_root, make_private
from raylax.worker.errors import ConfigError

WITHIN_S = 600.0
OFTEN = 2
ANSWER_S = 30.0
"""For a GPU to begin, and to do something: a context takes a second or so."""
TRY = """
import sys
from raylax.kernels.cuda import driver
from raylax.kernels.cuda.device.memory import DeviceMemory, read
from raylax.kernels.errors import KernelsError

try:
    driver.make_current(int(sys.argv[1]))
    memory = DeviceMemory(1 << 20)
    memory.fill(7)
    found = read(memory.address, (1 << 20,), "uint8", 0)
except KernelsError as error:
    sys.exit(str(error))
sys.exit(None if (found == 7).all() else "it does not keep what is written to it")
"""


def directory_of(uuid: str) -> Path:
    """Where its losses are noted."""
    return default_root() / "lost-devices" / uuid


def note(uuid: str, now: float | None = None) -> None:
    """This process has lost it. Saying so again does nothing more."""
    directory, at = directory_of(uuid), now or time.time()
    with suppress(OSError):  # a disk that is full must not hide the loss itself
        make_private(directory)
        for old in directory.iterdir():
            if old.stat().st_mtime <= at - WITHIN_S:
                old.unlink(missing_ok=True)
        mine = directory / str(os.getpid())
        mine.touch(mode=0o600)
        os.utime(mine, (at, at))


def losses(uuid: str, now: float | None = None) -> int:
    """How often it was lost here within the last ten minutes."""
    since = (now or time.time()) - WITHIN_S
    with suppress(OSError):
        return sum(one.stat().st_mtime > since for one in directory_of(uuid).iterdir())
    return 0


def check_answers(device: str) -> None:
    """Raises ConfigError for a GPU that was lost again and again, and does not answer."""
    if not device.startswith("cuda"):
        return
    index = driver.index_of(device)
    try:
        uuid = driver.uuid(index)
    except CompileError as error:
        raise ConfigError(str(error)) from None
    if (count := losses(uuid)) >= OFTEN and (why := silence_of(index)) is not None:
        raise ConfigError(
            f"{uuid} was lost {count} times within {WITHIN_S / 60:.0f} minutes and does not "
            f"answer: {why}; it is used again when it does"
        )


def silence_of(index: int) -> str | None:
    """Why a GPU does not do what it is told, in a process of its own; None if it does."""
    command = [sys.executable, "-c", TRY, str(index)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S)
    except subprocess.TimeoutExpired:
        return f"nothing came within {ANSWER_S:.0f} s"
    said = done.stderr.strip().splitlines()
    return None if done.returncode == 0 else said[-1] if said else f"exit {done.returncode}"
