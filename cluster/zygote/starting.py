"""Starts the zygote of a run, and another one when it has ended."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from raylax.cluster.environment import UMASK, logs_of
from raylax.cluster.supervision.restarts import Restarts
from raylax.cluster.zygote.asking import SOCKET
from raylax.cluster.zygote.server import AND_THEN, ANY

LOG = "zygote.log"
WAITING = 64
"""How many may ask before a worker can be forked."""
FIRST = (
    "ray._private.workers.default_worker",
    "ray.serve._private.controller",
    "ray.serve._private.haproxy",
    "raylax.cluster.ray_patches.worker_setup",
)
"""What each of Ray's workers imports."""
THEN = (
    "ray.serve._private.replica",
    "raylax.cluster.metrics.replica",
    "raylax.cluster.application.router",
    "raylax.worker.serving.replica",
)
"""What some do."""
AS_A_RAYLET_SAYS = {
    "RAY_CLIENT_MODE": "0",
    "RAY_JOB_ID": "01000000",
    "RAY_LD_PRELOAD_ON_WORKERS": "0",
    "SPT_NOENV": "1",
}
"""To each worker: above all that it is for the first job of a cluster, of which ours have no other.
The last one has its title written over its arguments alone, not also over its variables, by which
it is known to be of a run."""


class KeptZygote:
    """Of one run. Used by one thread, whose process it does not outlive."""

    def __init__(
        self,
        directory: Path,
        env: Mapping[str, str],
        driver: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`directory`: the run's. `env`: of the process that starts Ray, the `driver`, with which
        the workers are to end: a raylet's own pid is not known yet, and that ends with it, too."""
        self._directory = directory
        self._env = {**env, **AS_A_RAYLET_SAYS, ANY: str(driver)}
        self._restarts = Restarts(clock)
        self._process = start_zygote(directory, self._env)

    @property
    def pid(self) -> int:
        return self._process.pid

    def look(self) -> None:
        """Starts another one, unless too many have ended: Ray starts workers without one, too."""
        if self._process.poll() is not None and self._restarts.take():
            self.close()
            self._process = start_zygote(self._directory, self._env)

    def close(self) -> None:
        """It ends, by itself."""
        assert self._process.stdin is not None
        self._process.stdin.close()


def start_zygote(directory: Path, env: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """It ends when its input does, which only this process has."""
    logs_of(directory).mkdir(mode=0o700, exist_ok=True)
    (log := logs_of(directory) / LOG).touch(mode=0o600)
    with log.open("w") as out, listening(directory / SOCKET) as listener:
        number = listener.fileno()
        told = [str(number), *FIRST, AND_THEN, *THEN]
        return subprocess.Popen(
            [sys.executable, "-m", "raylax.cluster.zygote.server", *told],
            pass_fds=[number],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            start_new_session=True,
            umask=UMASK,
            env=env,
        )


def listening(path: Path) -> socket.socket:
    """Who asks waits until there is a zygote. In place of what a dead one has left."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(WAITING)
    return listener
