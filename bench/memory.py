"""Two engines of one model on one machine: what each takes, and that they share the weights.

    python bench/memory.py [CHECKPOINT] [--quantization q0bf16 q8f32_0 q4f32_1]

RSS counts a shared page in every process that has it, PSS divides it among them. Both are taken
when an engine has answered its first requests. `loaded` is the time from after `import` until the
engine is ready, on a store that has the model. Without a checkpoint, the one of engine.py.
"""

import argparse
import re
from dataclasses import astuple, dataclass
from pathlib import Path

from engines import command
from engines.base import Options
from engines.child import Child
from engines.models import default_checkpoint
from engines.raylax import raylax
from rich.console import Console
from rich.table import Table

LONGEST = 1024


@dataclass(frozen=True)
class Memory:
    """Of one process, in MB."""

    rss: float
    pss: float
    weights_rss: float
    weights_pss: float


def memory_of(child: Child) -> Memory:
    """From its mappings; the store's file of packed weights is one of them."""
    mappings = Path(f"/proc/{child.pid}/smaps").read_text().split("VmFlags:")
    weights = [text for text in mappings if "/weights.bin\n" in text]
    return Memory(*(total(part, kind) for part in (mappings, weights) for kind in ("Rss", "Pss")))


def total(mappings: list[str], kind: str) -> float:
    found = (re.search(rf"^{kind}: +(\d+) kB", text, re.M) for text in mappings)
    return sum(int(one[1]) for one in found if one) / 1024


def add(table: Table, name: str, *parts: Memory, loaded: str = "") -> None:
    """A row: the sum over processes."""
    sums = (sum(column) for column in zip(*map(astuple, parts), strict=True))
    table.add_row(name, *(f"{size:.0f}" for size in sums), loaded)


def compare(options: Options) -> Table:
    columns = ("RSS", "PSS", "weights' RSS", "weights' PSS", "loaded s")
    table = Table(f"{options.quantization}, MB", *columns)
    with raylax(options) as first:
        add(table, "one alone", memory_of(first), loaded=f"{first.facts['loaded_s']:.2f}")
        with raylax(options) as second:
            one, other = memory_of(first), memory_of(second)
            loaded = f"{second.facts['loaded_s']:.2f}"
            add(table, "the first of two", one)
            add(table, "the second of two", other, loaded=loaded)
            add(table, "both together", one, other)
    return table


def run(args: argparse.Namespace) -> None:
    checkpoint = str((args.checkpoint or default_checkpoint()).resolve())
    for name in args.quantization:
        options = Options(checkpoint, name, "auto", args.threads, 4, LONGEST)
        Console().print(compare(options))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, nargs="?")
    parser.add_argument("--quantization", nargs="+", default=["q0bf16"])
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    command.run(lambda: run(args))


if __name__ == "__main__":
    main()
