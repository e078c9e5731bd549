"""`raylax serve` as people run it: a command with its own temporary directory, on free ports."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from raylax.cluster.ports import free_ports
from raylax.cluster.supervision.processes import pids_of_run, running
from tests.support.mortal import end_with_parent

RAYLAX = str(Path(sys.executable).with_name("raylax"))
START_S = 270.0
"""Less than a test may take. Two cores that also compile for other tests need over half of it."""
STOP_S = 10.0
READY = "Ctrl-C stops it."


def until(condition: Callable[[], object], patience_s: float) -> None:
    """Polls, with a deadline."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {patience_s} s"
        time.sleep(0.05)


class Serving:
    """A running command, its output, and what it has started."""

    def __init__(
        self,
        temporary: Path,
        *arguments: str,
        raylax: str | Path = RAYLAX,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.temporary = temporary
        self.port, self.grpc_port = free_ports(2)
        ports = ["--port", str(self.port), "--grpc-port", str(self.grpc_port)]
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed by `end`
        self.command = subprocess.Popen(
            [raylax, "serve", *arguments, *ports],
            env={**environment, "TMPDIR": str(temporary)},
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=partial(end_with_parent, signal.SIGTERM),
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        """Read without a seek: that would move the place where the command writes."""
        file = self._output.fileno()
        return os.pread(file, os.fstat(file).st_size, 0).decode()

    @property
    def run_directory(self) -> Path:
        (found,) = self.temporary.glob("raylax-*")
        return found

    def pids(self) -> set[int]:
        """Everything of the run but the command itself."""
        return pids_of_run(self.command.pid, self.run_directory)

    def wait_until_it_says(self, text: str, patience_s: float = START_S) -> None:
        """What it said instead, and what its processes do, is the failure's text."""
        deadline = time.monotonic() + patience_s
        while text not in self.output:
            assert self.command.poll() is None, f"it has ended: {self.output}"
            assert time.monotonic() < deadline, f"not within {patience_s} s:\n{self.report()}"
            time.sleep(0.05)

    def report(self) -> str:
        """Its output, and the machine's processes that have computed most: for who reads a failure
        on a machine that is gone."""
        busiest = subprocess.run(
            ["ps", "-eo", "pid,ppid,stat,etimes,time,rss,args", "--sort=-time"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.splitlines()[:25]
        return "\n".join([self.output, *(line[:160] for line in busiest)])

    def interrupt(self) -> float:
        """Ctrl-C; the seconds until the command has ended."""
        begun = time.monotonic()
        self.command.send_signal(signal.SIGINT)
        self.command.wait(START_S)
        return time.monotonic() - begun

    def end(self) -> None:
        """For a test that has failed half-way."""
        started = self.pids() if any(self.temporary.glob("raylax-*")) else set()
        if self.command.poll() is None:
            self.command.terminate()
            self.command.wait(START_S)
        for pid in running(started):
            os.kill(pid, signal.SIGKILL)
        self._output.close()


@contextmanager
def serving(
    *arguments: str, raylax: str | Path = RAYLAX, environment: Mapping[str, str] = os.environ
) -> Iterator[Serving]:
    """A short temporary directory: sockets lie deep below it."""
    temporary = Path(tempfile.mkdtemp(prefix="", dir="/tmp"))
    made = Serving(temporary, *arguments, raylax=raylax, environment=environment)
    try:
        yield made
    finally:
        made.end()
        shutil.rmtree(temporary, ignore_errors=True)
