"""Time from `raylax serve` to the first streamed token, cold and warm: one command, three tables.

    python bench/start.py [MODEL] [--runs 5]

Without a model, the demo model. Cold: an empty store, so that the model is compiled and its weights
are packed. Warm: the store that the cold start filled; figures are medians over the runs. The
command's own lines give the stages. The model's and the cluster's run side by side, so that the
times do not add up. The last row is a chat that is streamed until its first text. A third table has
the processes that live then: when they began, and how long they have computed.
"""

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import httpx
from rich.console import Console
from rich.table import Table

from raylax.cluster.ports import free_ports
from raylax.cluster.supervision.processes import PROC, all_processes, arguments_of, below
from raylax.cluster.supervision.roles import role_of

STAGE = re.compile(r"\[ *([0-9.]+) s\] (.+)")
SERVES = re.compile(r"raylax serves .* at ")
OF_THE_CLUSTER = re.compile("Ray|front door|router|worker")
"""Stages in which Ray and Serve are started; the others are the model's."""
PATIENCE_S = 900.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
COMMAND = "raylax serve"
RAYLAX = Path(sys.executable).with_name("raylax")
ASK = {
    "messages": [{"role": "user", "content": "What is 2 + 2?"}],
    "temperature": 0, "max_tokens": 8, "stream": True,
}  # fmt: skip


class Processes(NamedTuple):
    """All of one kind, at the first token."""

    count: int
    began: float
    """When the first of them did, in seconds since the command."""
    cpu_s: float
    """What they have used, with their own children that have ended."""


@dataclass(frozen=True)
class Start:
    """Seconds since the command: when each stage began, in order, and when the last one ended."""

    began: list[tuple[str, float]]
    serving: float
    first_token: float
    processes: dict[str, Processes]

    def stages(self) -> dict[str, tuple[float, float]]:
        """When each stage began, and how long it took: until the next one of its kind."""
        found = {"the command itself": (0.0, self.began[0][1])}
        for i, (name, at) in enumerate(self.began):
            cluster = bool(OF_THE_CLUSTER.search(name))
            later = [
                moment
                for other, moment in self.began[i + 1 :]
                if bool(OF_THE_CLUSTER.search(other)) == cluster
            ]
            end = later[0] if later else self.serving if cluster else at
            found[name] = (at, end - at)
        found["the first token"] = (self.serving, self.first_token - self.serving)
        return found

    @property
    def rays_own(self) -> float:
        return sum(took for name, (_, took) in self.stages().items() if OF_THE_CLUSTER.search(name))


def as_people_have() -> dict[str, str]:
    """The environment variables, but those by which Python finds a checkout, or compiles what it
    imports in every process again."""
    ours = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if name not in ours}


@contextmanager
def serving(
    raylax: Path, model: str | None, store: Path, ports: list[int]
) -> Iterator[subprocess.Popen[str]]:
    command = [raylax, "serve", *([model] if model else [])]
    port, grpc_port = map(str, ports)
    options = ["--port", port, "--grpc-port", grpc_port]
    process = subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1,
        env=as_people_have() | {"RAYLAX_STORE": str(store), "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def start(model: str | None, store: Path, raylax: Path = RAYLAX) -> Start:
    ports, began, said = free_ports(2), [], []
    begun, booted = time.perf_counter(), time.clock_gettime(time.CLOCK_BOOTTIME)
    with serving(raylax, model, store, ports) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            now = time.perf_counter() - begun
            if stage := STAGE.match(line):
                began.append((stage[2], now))
            if SERVES.search(line):
                wait_for_text(f"http://127.0.0.1:{ports[0]}/v1/chat/completions")
                first_token = time.perf_counter() - begun
                return Start(began, now, first_token, processes_of(process.pid, booted))
    sys.exit("raylax serve ended:\n" + "".join(said[-20:]))


def processes_of(command: int, booted: float) -> dict[str, Processes]:
    """What lives of a command's processes, by what they are for, in the order in which they began.
    `booted`: when the command did, in seconds since the machine."""
    everything, found = all_processes(), dict[str, Processes]()
    pids = {command} | below(command, everything)
    for one in sorted((it for it in everything if it.pid in pids), key=lambda it: it.started):
        kind = COMMAND if one.pid == command else str(role_of(arguments_of(one.pid)))
        before = found.get(kind, Processes(0, one.started / TICKS_PER_S - booted, 0.0))
        used = before.cpu_s + cpu_of(one.pid)
        found[kind] = before._replace(count=before.count + 1, cpu_s=used)
    return found


def cpu_of(pid: int) -> float:
    """In seconds, of a process and its children that have ended; 0 for one that has gone."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS_PER_S


def wait_for_text(url: str) -> None:
    """Returns with the first text of a streamed answer."""
    with httpx.stream("POST", url, json=ASK, timeout=PATIENCE_S) as answer:
        for line in answer.iter_lines():
            event = line.removeprefix("data: ")
            if not event.startswith("{"):
                continue
            chunk = json.loads(event)
            if "error" in chunk:
                sys.exit(f"the server answered: {chunk['error']['message']}")
            if any(choice["delta"].get("content") for choice in chunk["choices"]):
                return
    sys.exit(f"the server answered without text, status {answer.status_code}")


def show(name: str, starts: list[Start], rays_own: bool) -> None:
    """One table: medians of each stage, in the order of the first run."""
    table = Table(f"{name}, {len(starts)} run(s)", "began at s", "took s")
    runs = [one.stages() for one in starts]
    for stage in runs[0]:
        times = zip(*(run[stage] for run in runs if stage in run), strict=True)
        table.add_row(stage, *(f"{statistics.median(column):.2f}" for column in times))
    whole = statistics.median(one.first_token for one in starts)
    own = statistics.median(one.rays_own for one in starts)
    table.add_section()
    table.add_row("command to first token", "", f"{whole:.2f}")
    if rays_own:
        table.add_row("of that Ray and Serve", "", f"{own:.2f} ({own / whole:.0%})")
    Console().print(table)


def show_processes(starts: list[Start]) -> None:
    """One table: medians of each kind, in the order of the first run."""
    table = Table("processes at the first token", "", "began at s", "CPU s")
    for kind, first in starts[0].processes.items():
        found = [one.processes[kind] for one in starts if kind in one.processes]
        began = statistics.median(one.began for one in found)
        cpu_s = statistics.median(one.cpu_s for one in found)
        table.add_row(kind, str(first.count), f"{began:.2f}", f"{cpu_s:.2f}")
    table.add_section()
    sums = [sum(kind.cpu_s for kind in one.processes.values()) for one in starts]
    table.add_row("all", "", "", f"{statistics.median(sums):.2f}")
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("model", nargs="?", help="as for raylax serve")
    parser.add_argument("--runs", type=int, default=5, help="warm ones")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        store = Path(directory)
        show("cold", [start(args.model, store)], rays_own=False)  # the cluster waits for the model
        warm = [start(args.model, store) for _ in range(args.runs)]
        show("warm", warm, rays_own=True)
        show_processes(warm)


if __name__ == "__main__":
    main()
