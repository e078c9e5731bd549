"""What a raylet runs in place of Ray's `setup_worker.py`: asks the zygote for the worker, and ends.

It is told the program of a worker, and what that is told. Without a zygote, or for a worker that is
to have an environment of its own, it runs what Ray would have run. Imports nothing of ours or of
Ray's: it is run as a file, in milliseconds.
"""

import json
import os
import socket
import sys
from collections.abc import Sequence
from typing import NoReturn

DIRECTORY = "RAYLAX_RUN_DIRECTORY"
"""The variable that names the run's directory, where the zygote's socket lies."""
SOCKET = "zygote.sock"
LANGUAGE, OWN_ENVIRONMENT = "--language=", "--serialized-runtime-env-context="
"""Arguments for who makes environments, which a worker's own program does not know."""
RAYS_OWN = "setup_worker.py"
"""Beside the program of a worker: it makes an environment, and then runs that."""


def main(command: list[str]) -> None:
    """Returns when there is a worker; else this process becomes it."""
    if any(one.startswith(OWN_ENVIRONMENT) for one in command):
        program = next(one for one in command if one.endswith(".py"))
        run([os.path.join(os.path.dirname(program), RAYS_OWN), *command])
    own = [one for one in command if not one.startswith(LANGUAGE)]
    if not is_forked(own):
        run(own)


def is_forked(command: Sequence[str]) -> bool:
    """Whether the zygote has made the worker; it is given our environment and standard files."""
    question = json.dumps({"command": command, "environment": dict(os.environ)}).encode()
    try:
        with socket.socket(socket.AF_UNIX) as zygote:
            zygote.connect(os.path.join(os.environ[DIRECTORY], SOCKET))
            socket.send_fds(zygote, [question[:1]], [0, 1, 2])
            zygote.sendall(question[1:])
            zygote.shutdown(socket.SHUT_WR)
            return zygote.recv(1) != b""
    except (KeyError, OSError):
        return False


def run(command: Sequence[str]) -> NoReturn:
    """Become a Python that does this."""
    os.execv(sys.executable, [sys.executable, *command])


if __name__ == "__main__":
    main(sys.argv[1:])
