"""A child of the zygote becomes the worker that was asked for, as if a raylet had started it."""

import json
import os
import runpy
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

TITLE = "raylax: a worker of Ray's, soon"
OOM_SCORE = "RAY_worker_oom_score_adjustment"
MOST_LIKELY = "1000"
"""Where memory is short the kernel ends workers before all else: Ray's own value."""
LONGEST = 1 << 20
"""Bytes of a question."""
FILES = 3


class Asked(NamedTuple):
    """What a raylet wants to run."""

    command: Sequence[str]
    """A program of Python, and its arguments."""
    environment: Mapping[str, str | None]
    """Variables; None: there is none of this name."""
    files: Sequence[int]
    """Standard input, output and error."""

    def beside(self, before: Mapping[str, str]) -> "Asked":
        """The same with those variables alone that are other ones than before."""
        both = before.keys() | self.environment.keys()
        now = {name: self.environment.get(name) for name in both}
        return self._replace(environment={k: v for k, v in now.items() if v != before.get(k)})


def read(connection: socket.socket) -> Asked:
    """As `asking` writes it. Raises OSError, ValueError or KeyError for what is not that."""
    question, files, _, _ = socket.recv_fds(connection, LONGEST, FILES)
    while more := connection.recv(LONGEST):
        question += more
    said = json.loads(question)
    return Asked(said["command"], said["environment"], files)


def become(asked: Asked) -> None:
    """Returns when the program has ended."""
    from ray._raylet import setproctitle  # type: ignore[attr-defined]

    os.setpgid(0, 0)  # a raylet ends a worker's group with it
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, file in enumerate(asked.files):
        os.dup2(file, number)
        os.close(file)
    setproctitle(TITLE)
    take(asked.environment)
    be_ended_first()
    sys.argv = [*asked.command]
    runpy.run_path(sys.argv[0], run_name="__main__")


def take(environment: Mapping[str, str | None]) -> None:
    """Sets variables, and removes those without a value."""
    for name, value in environment.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


def be_ended_first() -> None:
    """As a raylet has it of the processes that it starts."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write(os.environ.get(OOM_SCORE, MOST_LIKELY))
