"""What a forked child comes to."""

import os
import signal
import time
import traceback
from collections.abc import Callable

PATIENCE_S = 30.0


def in_fork(work: Callable[[], str]) -> str:
    """What `work` returns in a forked child of this process, or the exception that it raises there.
    AssertionError if the child does not end."""
    read, write = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            said = work()
        except BaseException as error:
            said = "".join(traceback.format_exception_only(error)).strip()
        os.write(write, said.encode()[:4096])
        os._exit(0)
    os.close(write)
    until = time.monotonic() + PATIENCE_S
    try:
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > until:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise AssertionError("the forked child did not end")
            time.sleep(0.01)
        return os.read(read, 4096).decode()
    finally:
        os.close(read)
