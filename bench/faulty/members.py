"""`raylax serve` as a process, and the processes of its cluster by what they are for."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from raylax.cluster.ports import free_ports
from raylax.cluster.supervision.processes import (
    all_processes,
    arguments_of,
    below,
    marked,
    running,
)
from raylax.cluster.supervision.roles import Role, role_of

RAYLAX = str(Path(sys.executable).with_name("raylax"))
READY = "Ctrl-C stops it."
STRUCK = (
    Role.WORKER,
    Role.ROUTER,
    Role.METRICS,
    Role.CONTROLLER,
    Role.PROXY,
    Role.MANAGER,
    Role.HAPROXY,
    Role.ZYGOTE,
    Role.DASHBOARD_AGENT,
    Role.RUNTIME_AGENT,
    Role.RAYLET,
    Role.GCS,
    Role.DRIVER,
)
"""In the order of what it costs."""


class ServedCluster:
    """A running `raylax serve`, from outside."""

    def __init__(self, temporary: Path, source: Path | None, *arguments: str) -> None:
        """`source`: where its package lies; None: the one of this process."""
        self.temporary = temporary
        self.port, self.grpc_port = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        self._output = (temporary / "output.txt").open("w+")
        path = {"PYTHONPATH": str(source)} if source is not None else {}
        self.command = subprocess.Popen(
            [
                RAYLAX, "serve", *arguments,
                "--port", str(self.port), "--grpc-port", str(self.grpc_port),
            ],
            env={**os.environ, **path, "TMPDIR": str(temporary)},
            stdout=self._output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self._seen: set[int] = set()

    @property
    def said(self) -> str:
        """All that it has written."""
        return (self.temporary / "output.txt").read_text()

    @property
    def lives(self) -> bool:
        return self.command.poll() is None

    def wait_until_it_serves(self, patience_s: float) -> None:
        """Raises TimeoutError."""
        deadline = time.monotonic() + patience_s
        while READY not in self.said:
            if time.monotonic() > deadline or not self.lives:
                raise TimeoutError(f"raylax serve did not start:\n{self.said}")
            time.sleep(0.2)

    def members(self) -> dict[int, Role]:
        """Its living processes."""
        everything = all_processes()
        ours = below(self.command.pid, everything)
        for directory in self.temporary.glob("raylax-*/"):
            ours |= marked(directory, everything)
        found = {
            one.pid: role_of(arguments_of(one.pid))
            for one in everything
            if one.pid in ours and not one.ended and one.pid != self.command.pid
        }
        self._seen |= found.keys()
        return found

    def first(self, role: Role) -> int | None:
        """The pid of one of this role; None if there is none."""
        return min((pid for pid, its in self.members().items() if its is role), default=None)

    def end(self) -> list[int]:
        """Stops it; the processes that are left all the same, which are then ended here."""
        self.members()
        if self.lives:
            self.command.send_signal(signal.SIGINT)
            try:
                self.command.wait(30)
            except subprocess.TimeoutExpired:
                self.command.kill()
                self.command.wait()
        self._output.close()
        time.sleep(0.5)
        left = running(self._seen)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        return left
