"""The driver as the terminal's process has it: started, told, heard."""

import json
import os
import select
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from raylax.cluster import environment
from raylax.cluster.cluster_secret import read
from raylax.cluster.errors import ClusterLost, UserError, reason_of
from raylax.cluster.process_log import last_words
from raylax.cluster.startup.asked import Asked
from raylax.cluster.zygote.starting import KeptZygote

LOG = "driver.log"
SETUP = "raylax.cluster.ray_patches.worker_setup.worker_setup"
"""The function that each of Ray's workers runs first."""


class Driver:
    """The process that holds Ray, and the pipes to it; beside it the zygote of its workers."""

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        zygote: KeptZygote,
        directory: Path,
    ) -> None:
        self._process, self.zygote, self._directory = process, zygote, directory
        self._lines, self._rest = deque[bytes](), b""

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, asked: BaseModel) -> None:
        """Tells it something, a configuration to a driver. Raises OSError if it is gone."""
        assert self._process.stdin is not None
        self._process.stdin.write(asked.model_dump_json().encode() + b"\n")
        self._process.stdin.flush()

    def say_no_more(self) -> None:
        """It hears that we are gone."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def events(
        self, meanwhile: Callable[[], None] = lambda: None, every_s: float = 3600.0
    ) -> Iterator[Any]:
        """What has happened, as `raylax.cluster.startup.driver.Events` says it; `meanwhile` is
        called now and then. Raises what ends the run: UserError, ClusterLost with the log,
        RuntimeError for a bug."""
        for line in self._said(meanwhile, every_s):
            match json.loads(line):
                case {"error": message}:
                    raise UserError(message)
                case {"lost": why}:
                    raise ClusterLost(f"the cluster did not start: {why}", self._log)
                case {"fault": text}:
                    raise RuntimeError(text)
                case event:
                    yield event
        why = reason_of(self._own_log) or "it said nothing"
        raise ClusterLost(f"the cluster has ended: {why}", self._log)

    def _said(self, meanwhile: Callable[[], None], every_s: float) -> Iterator[bytes]:
        """Lines, until it has ended."""
        assert self._process.stdout is not None
        pipe, due = self._process.stdout.fileno(), time.monotonic() + every_s
        while True:
            while self._lines:
                yield self._lines.popleft()
            if select.select([pipe], [], [], max(0.0, due - time.monotonic()))[0]:
                if not (more := os.read(pipe, 1 << 16)):
                    return
                *whole, self._rest = (self._rest + more).split(b"\n")
                self._lines += whole
            if time.monotonic() >= due:
                meanwhile()
                due = time.monotonic() + every_s

    @property
    def _log(self) -> str:
        """What it and the run's other processes have logged; the files go with the run."""
        return f"{self._own_log}\n{last_words(self._directory)}"

    @property
    def _own_log(self) -> str:
        return (self._directory / LOG).read_text(errors="replace")


def start_driver(directory: Path, asked: Asked) -> Driver:
    """Starts it, and tells it what to serve."""
    place, file = asked.config.joined_at, asked.config.cluster_secret
    addresses = () if place is None else (place.host,)
    secret = None if file is None else read(file)
    env = environment.for_ray(directory, addresses, secret)
    return start_process("raylax.cluster.startup.driver", directory, env, asked)


def start_process(module: str, directory: Path, env: dict[str, str], asked: BaseModel) -> Driver:
    """A process that runs a module of ours, told what it is for, and what forks its workers. Each
    has a session: the terminal's Ctrl-C is for us alone."""
    env = {**env, environment.WORKER_SETUP: SETUP}
    (directory / LOG).touch(mode=0o600)
    with (directory / LOG).open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            umask=environment.UMASK,
            env=env,
        )
    driver = Driver(process, KeptZygote(directory, env, process.pid), directory)
    driver.send(asked)
    return driver
