"""What a test has started ends with the test, also when that is killed half-way."""

import asyncio
import ctypes
import signal
from functools import partial

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def end_with_parent(by: signal.Signals = signal.SIGKILL) -> None:
    """This process is sent the signal when the thread that has started it ends. Its own children
    are not, unless they ask for it, too."""
    LIBC.prctl(PR_SET_PDEATHSIG, int(by), 0, 0, 0)


def end_all_with_parent() -> None:
    """This process, and with it whatever it starts by asyncio from now on."""
    end_with_parent()
    execute = asyncio.create_subprocess_exec
    asyncio.create_subprocess_exec = partial(execute, preexec_fn=end_with_parent)
