"""Shards as child processes: ranks of an engine that lives without Ray."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict

from raylax.kernels.cuda import driver
from raylax.worker.errors import ConfigError
from raylax.worker.ranks.shard import Invitation, Shard

HOST = "127.0.0.1"


class ChildProcess:
    """A shard's process on this host: a `Process`."""

    def __init__(self, invitation: Invitation, host: str = HOST) -> None:
        """The invitation goes by a pipe: arguments and environments can be read by others. The
        cores of this process go with it: the thread that calls may keep to some of them. It looks
        for modules where this process does, and not in the directory where that was started."""
        seen = {}
        if invitation.device.startswith("cuda"):
            index = driver.index_of(invitation.device) + invitation.rank
            seen = {"CUDA_VISIBLE_DEVICES": driver.uuid(index)}
        command = [sys.executable, "-P", "-m", "raylax.worker.ranks.child_processes"]
        paths = os.pathsep.join(filter(os.path.isabs, sys.path))
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, env={**os.environ, "PYTHONPATH": paths, **seen}
        )
        assert self._process.stdin is not None
        arguments = [asdict(invitation), host, sorted(os.sched_getaffinity(os.getpid()))]
        with suppress(BrokenPipeError):  # it has ended: whoever waits for it finds out
            self._process.stdin.write(json.dumps(arguments).encode())
            self._process.stdin.close()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class ChildProcesses:
    """A `Spawner` that starts ranks as children of this process."""

    host = HOST

    def check_gpus(self, device: str, world: int) -> None:
        """A rank has the GPU behind that of the rank before it."""
        if not device.startswith("cuda"):
            return
        first, found = driver.index_of(device), driver.count()
        if first + world > found:
            raise ConfigError(
                f"{world} ranks from {device} on need GPUs up to cuda:{first + world - 1}, and "
                f"there are {found}; take fewer tensor_parallel_shards"
            )

    def spawn(self, invitation: Invitation) -> ChildProcess:
        return ChildProcess(invitation)

    def join_debug_group(self, name: str, world: int) -> None:
        """None: the ranks' own group carries debug calls."""


def main() -> None:
    """Body of the process. Ctrl-C at the terminal is for the leader, whose end is ours."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    invitation, host, cores = json.load(sys.stdin)
    os.sched_setaffinity(0, cores)
    Shard(Invitation(**invitation), host).run()


if __name__ == "__main__":
    main()
