"""How long two ranks take to sum an array: our communicators, Ray over them, and gloo.

    python bench/allreduce.py [--torch-python VENV/bin/python] [--backends threads shared tcp ray]

Two ranks of one thread each, float32, microseconds on rank 0. Rounds interleave the backends. README.md
says what the rows and columns mean.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines import command
from engines.child import Child
from ranks.base import Seconds
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

OURS = ["threads", "shared", "tcp", "ray", "nccl"]
SIZES = {"8 KB": (8 << 10, 300), "64 KB": (64 << 10, 300), "1 MB": (1 << 20, 60)}
"""Bytes, and how many sums a round has."""
GPUS = Path("/proc/driver/nvidia/gpus")
ENDS_WITHIN_S = 20.0
"""Ray takes its time to end."""


@dataclass(frozen=True)
class Cell:
    """One backend at one size, over all rounds."""

    seconds: Seconds

    @property
    def median_us(self) -> float:
        return statistics.median(self.seconds) * 1e6

    @property
    def p90_us(self) -> float:
        return sorted(self.seconds)[len(self.seconds) * 9 // 10] * 1e6


Cells = dict[str, dict[str, Cell]]
"""By backend, then by size."""


def default_backends() -> list[str]:
    """NCCL needs a GPU for each rank."""
    gpus = len(list(GPUS.glob("*"))) if GPUS.exists() else 0
    return [name for name in OURS if name != "nccl" or gpus > 1]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--backends", nargs="+", choices=OURS, default=default_backends())
    add("--torch-python", type=Path, help="a Python that has torch, for gloo")
    add("--rounds", type=int, default=5)
    add("--json", type=Path, metavar="FILE", help="write every figure there, too")
    return parser.parse_args()


@contextmanager
def pair_of_ranks(name: str, python: Path | str) -> Iterator[Child]:
    """In a process of its own, `ranks.inside`, with a directory to meet in."""
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as directory:
        arguments = ("ranks.inside", name, directory)
        with Child(name, python, *arguments, ends_within_s=ENDS_WITHIN_S) as pair:
            yield pair


def measure(pairs: Sequence[Child], rounds: int) -> Cells:
    """All take turns at each size, in every round."""
    taken: dict[str, dict[str, Seconds]] = {
        pair.name: {name: [] for name in SIZES} for pair in pairs
    }
    for _ in range(rounds):
        for name, (size, count) in SIZES.items():
            for pair in pairs:
                taken[pair.name][name] += pair.ask(size=size, count=count)["seconds"]
    return {
        pair: {name: Cell(seconds) for name, seconds in sizes.items()}
        for pair, sizes in taken.items()
    }


def table_of(cells: Cells) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title="a sum by two ranks, us")
    table.show_edge = False
    table.add_column("")
    for size in SIZES:
        for column in (size, "p90", *["gloo /"] * ("gloo" in cells)):
            table.add_column(column, justify="right")
    for pair, sizes in cells.items():
        texts = []
        for size, cell in sizes.items():
            texts += [f"{cell.median_us:.1f}", f"{cell.p90_us:.1f}"]
            if "gloo" in cells:
                texts.append(f"{cells['gloo'][size].median_us / cell.median_us:.1f}")
        table.add_row(pair, *texts)
    return table


def as_json(cells: Cells, args: argparse.Namespace) -> dict[str, Any]:
    return {
        "rounds": args.rounds,
        "us": {
            pair: {
                size: {"median": cell.median_us, "p90": cell.p90_us} for size, cell in sizes.items()
            }
            for pair, sizes in cells.items()
        },
    }


def run(args: argparse.Namespace) -> None:
    console = Console()
    pythons = dict.fromkeys(args.backends, sys.executable)
    if args.torch_python:
        pythons["gloo"] = args.torch_python
    pairs = []
    with ExitStack() as stack, console.status("starting") as status:
        for name, python in pythons.items():
            status.update(f"starting {name}")
            pairs.append(stack.enter_context(pair_of_ranks(name, python)))
        status.update("measuring")
        cells = measure(pairs, args.rounds)
    console.print(table_of(cells))
    if args.json:
        args.json.write_text(json.dumps(as_json(cells, args), indent=1))


def main() -> None:
    args = arguments()
    command.run(lambda: run(args))


if __name__ == "__main__":
    main()
