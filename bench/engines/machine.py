"""The machine itself: what it can do at most, what else runs on it, and a rival for one core."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from engines.processes import end, start

SECONDS, MIB = 0.4, 512
"""For each rate; and the size of what is read, which no cache should hold."""
LOOP = """
import os, sys
os.sched_setaffinity(0, [int(sys.argv[1])])
print(flush=True)
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Limits:
    """1e9 bytes, or operations, a second. None: not known here."""

    read: float | None = None
    fp32: float | None = None
    bf16: float | None = None
    int8: float | None = None
    int4: float | None = None

    def rate(self, arithmetic: str) -> float | None:
        found: float | None = asdict(self)[arithmetic]
        return found

    def or_better(self, other: "Limits") -> "Limits":
        """Noise only ever slows a machine down."""
        pairs = {f.name: (self.rate(f.name), other.rate(f.name)) for f in fields(self)}
        return Limits(**{
            name: max((one for one in pair if one is not None), default=None)
            for name, pair in pairs.items()
        })  # fmt: skip

    def __str__(self) -> str:
        if self == Limits():
            return "the machine's limits are not known: roofline.c did not compile"
        kinds = [f"{name} {rate:.0f}" for name, rate in list(asdict(self).items())[1:] if rate]
        return f"the machine: reads {self.read:.1f} GB/s; {', '.join(kinds)} G operations/s"


class Roofline:
    """`roofline.c`, compiled for this CPU. Without a C compiler nothing is known."""

    def __init__(self, threads: int, directory: Path) -> None:
        self._threads, binary = threads, directory / "roofline"
        source = Path(__file__).with_name("roofline.c")
        flags = ["-O3", "-march=native", "-pthread"]
        self._binary: Path | None = binary
        try:
            command = ["cc", *flags, str(source), "-o", str(binary)]
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", b"").decode().strip().splitlines()
            print(f"roofline.c: {said[0] if said else error}", file=sys.stderr)
            self._binary = None

    def measure(self) -> Limits:
        if self._binary is None:
            return Limits()
        arguments = [str(part) for part in (self._threads, SECONDS, MIB)]
        done = subprocess.run([self._binary, *arguments], check=True, capture_output=True)
        rates = json.loads(done.stdout)
        return Limits(**{f.name: rates.get(f.name) for f in fields(Limits)})


def busy_seconds() -> float:
    """Processor seconds that anybody has taken from our CPUs, a hypervisor's other guests too."""
    ours = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
    times = [[int(field) for field in fields[1:9]] for fields in lines if fields[0] in ours]
    return sum(sum(t) - t[3] - t[4] for t in times) * TICK_S  # without idle and iowait


def cpu_seconds(pid: int) -> float:
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) * TICK_S


@contextmanager
def busy_core() -> Iterator[Callable[[], float]]:
    """A process that only computes, on one core of ours and at our priority; its seconds so far."""
    core = max(os.sched_getaffinity(0))
    process = start([sys.executable, "-c", LOOP, str(core)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield lambda: cpu_seconds(process.pid)
    finally:
        end(process)
