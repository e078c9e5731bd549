"""`raylax serve` as people run it: a command with its own temporary directory, on free ports."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from raylax.cluster.ports import free_ports
from raylax.cluster.supervision.processes import pids_of_run, running
from tests.support.mortal import end_with_parent

RAYLAX = str(Path(sys.executable).with_name("raylax"))
START_S = 600.0
"""A start takes half a minute where nothing is beside it. Two cores that also start another
cluster, and compile for other tests, have needed four and a half."""
STOP_S = 10.0
READY = "Ctrl-C stops it."


def until(condition: Callable[[], object], patience_s: float) -> None:
    """Polls, with a deadline."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {patience_s} s"
        time.sleep(0.05)


class Command:
    """A running command, its output, and what it has started."""

    def __init__(
        self,
        temporary: Path,
        words: Sequence[str | Path],
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.temporary = temporary
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed by `end`
        self.command = subprocess.Popen(
            words,
            env={**environment, "TMPDIR": str(temporary)},
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=partial(end_with_parent, signal.SIGTERM),
        )

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

    def wait_until_it_says(self, text: str) -> None:
        """What it said instead, and what its processes do, is the failure's text."""
        deadline = time.monotonic() + START_S
        while text not in self.output:
            assert self.command.poll() is None, f"it has ended: {self.output}"
            assert time.monotonic() < deadline, f"not within {START_S} s: {self.report()}"
            time.sleep(0.05)

    def report(self) -> str:
        """What it said last, how busy the machine is, all of its output, the ends of its logs and
        the processes that have computed most: for who reads a failure on a machine that is gone."""
        last = self.output.strip().splitlines()[-1:]
        memory = Path("/proc/meminfo").read_text().splitlines()
        (free,) = (line for line in memory if line.startswith("MemAvailable"))
        logs = [
            f"{path.name}: {line[:160]}"
            for path in sorted(self.temporary.glob("raylax-*/logs/*"))
            for line in path.read_text(errors="replace").splitlines()[-3:]
        ]
        busiest = subprocess.run(
            ["ps", "-eo", "pid,ppid,stat,etimes,time,rss,args", "--sort=-time"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.splitlines()[:25]
        head = f"{last}, load {os.getloadavg()}, {free}"
        return "\n".join([head, self.output, *logs, *(line[:160] for line in busiest)])

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


class Serving(Command):
    """`raylax serve` on free ports."""

    def __init__(
        self,
        temporary: Path,
        *arguments: str,
        raylax: str | Path = RAYLAX,
        environment: Mapping[str, str] = os.environ,
        before: Sequence[str] = (),
        host: str = "127.0.0.1",
    ) -> None:
        """`before`: what runs the command. `host`: where it is asked, and listens unless
        `arguments` say another."""
        self.port, self.grpc_port = free_ports(2)
        self.host = host
        ports = ["--port", str(self.port), "--grpc-port", str(self.grpc_port), "--host", host]
        super().__init__(temporary, [*before, raylax, "serve", *ports, *arguments], environment)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


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
