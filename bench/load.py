"""How soon a large model is loaded, beside how soon its bytes are read: and in how much memory.

    python bench/load.py [CHECKPOINT ...] [--quantization auto] [--directory DIR]

Without a checkpoint two are made, of random blocks: a GGUF file in the shape of Llama 3.1 8B, of
types as in a Q4_K_M, and one of Llama 3.2 3B in three files of bf16. They and the store lie below
a directory that is removed at the end; 35 GB of disk are needed.

The first load reads the checkpoint and writes the packed weights; the next one maps these, and has
computed a token when it ends. Each is timed twice, with the files on the disk alone and in the page
cache. Just before, the same bytes are read, and as many written as the first load writes: the
ratio is what this took, one after the other, to what the load did. `CPU` are seconds of all threads,
and `MiB` the most memory of the process's own beyond what it began with: pages of mapped files are
not in it.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engines import command
from engines.child import Child
from loads.files import write_gguf, write_shards
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

READ = 8 << 20
MB = 1e6


def forget(files: list[Path]) -> None:
    """Their pages leave the cache."""
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read(files: list[Path]) -> float:
    """Seconds to read all of them, one after the other."""
    buffer, begun = bytearray(READ), time.perf_counter()
    for path in files:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
    return time.perf_counter() - begun


def files_of(checkpoint: Path) -> list[Path]:
    if checkpoint.is_file():
        return [checkpoint]
    return sorted(one for one in checkpoint.iterdir() if one.stat().st_size > READ)


@contextmanager
def loader(checkpoint: Path, store: Path, args: argparse.Namespace) -> Iterator[Child]:
    given = map(str, (checkpoint, store, args.quantization, args.threads))
    with Child("raylax", sys.executable, "loads.inside", *given, ends_within_s=10) as child:
        yield child


def plain(files: list[Path], cold: bool, written: int) -> tuple[float, float]:
    """Seconds to read the files, and to write so many bytes beside them."""
    forget(files) if cold else read(files)
    seconds = read(files)
    if cold:
        forget(files)
    return seconds, write(files[0].with_name("plain"), written) if written else 0.0


def write(path: Path, size: int) -> float:
    """Seconds until the disk has them."""
    content, begun = bytes(READ), time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for _ in range(-(-size // READ)):
            file.write(content)
        os.fdatasync(file.fileno())
    seconds = time.perf_counter() - begun
    path.unlink()
    return seconds


def measure(checkpoint: Path, store: Path, args: argparse.Namespace) -> Table:
    columns = ("MB in", "out", "read", "write", "load", "CPU", "MB/s", "ratio", " MiB")
    table = Table(
        Column("seconds", no_wrap=True), *columns, box=SIMPLE_HEAD, title_justify="left", padding=0
    )

    def row(name: str, files: list[Path], cold: bool, child: Child, what: str) -> None:
        size = sum(path.stat().st_size for path in files)
        written = child.facts["bytes"] if what == "pack" else 0
        reading, writing = plain(files, cold, written)
        told = child.ask(what=what)
        seconds = told["seconds"]
        figures = reading, writing, seconds, told["cpu_s"]
        table.add_row(
            f"{name}, {'disk' if cold else 'cache'}", f"{size / MB:.0f}", f"{written / MB:.0f}",
            *(f"{one:.1f}" for one in figures), f"{size / MB / seconds:.0f}",
            f"{(reading + writing) / seconds:.2f}", f"{told['peak_mib']:.0f}",
        )  # fmt: skip

    for cold in (True, False):
        shutil.rmtree(store / "weights", ignore_errors=True)
        with loader(checkpoint, store, args) as child:
            row("first", files_of(checkpoint), cold, child, "pack")
            table.title = f"{checkpoint.name}, {child.facts['quantization']}"
        (packed,) = store.glob("weights/*/weights.bin")
        with loader(checkpoint, store, args) as child:
            row("next", [packed], cold, child, "load")
    return table


def run(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(dir=args.directory) as directory:
        made = Path(directory)
        for checkpoint in args.checkpoint or [made / "8b-q4_k_m.gguf", made / "3b-bf16"]:
            if not args.checkpoint:
                print(f"making {checkpoint.name}", file=sys.stderr)
                if checkpoint.suffix:
                    write_gguf(checkpoint, "llama-3.1-8b")
                else:
                    write_shards(checkpoint, "llama-3.2-3b", 3)
            Console().print(measure(checkpoint.resolve(), made / "store", args))
            shutil.rmtree(made / "store")
            if not args.checkpoint:
                shutil.rmtree(checkpoint) if checkpoint.is_dir() else checkpoint.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, nargs="*")
    parser.add_argument("--quantization", default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--directory", type=Path, help="on the disk that is to be measured")
    args = parser.parse_args()
    command.run(lambda: run(args))


if __name__ == "__main__":
    main()
