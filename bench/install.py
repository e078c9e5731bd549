"""From an empty environment to the first token, by pip and by uv: one command, one table.

    python bench/install.py [--runs 1]

The wheel is built from this checkout, and installed with all that it needs into an environment of
its own, of which nothing is cached. Then `raylax serve` runs there with an empty store, until a chat
that is streamed has its first text. Figures are medians over the runs, in which the two take turns.
Needs a package index.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from start import as_people_have, start

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).with_name("uv")


class Run(NamedTuple):
    install_s: float
    first_token_s: float
    installed_bytes: int


def quietly(command: Sequence[str | Path]) -> None:
    """What it says is shown if it fails."""
    done = subprocess.run(command, env=as_people_have(), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}\nerror: {command[0]} failed")


def install(tool: str, wheel: Path, environment: Path) -> None:
    """As people do, but that nothing is found in a cache."""
    if tool == "pip":
        quietly([sys.executable, "-m", "venv", environment])
        quietly([environment / "bin" / "pip", "install", "--no-cache-dir", wheel])
    else:
        quietly([UV, "venv", "--python", sys.executable, environment])
        python = environment / "bin" / "python"
        quietly([UV, "pip", "install", "--no-cache", "--python", python, wheel])


def size(directory: Path) -> int:
    """Bytes of its files; a link counts as itself."""
    return sum(path.lstat().st_size for path in directory.rglob("*") if not path.is_dir())


def run(tool: str, wheel: Path) -> Run:
    with tempfile.TemporaryDirectory() as name:
        environment, store = Path(name, "new"), Path(name, "store")
        begun = time.perf_counter()
        install(tool, wheel, environment)
        took, bytes_ = time.perf_counter() - begun, size(environment)
        first = start(None, store, environment / "bin" / "raylax").first_token
        return Run(took, took + first, bytes_)


def show(distributions: Sequence[Path], runs: dict[str, list[Run]]) -> None:
    table = Table("from an empty environment", *runs)
    rows = {
        "installed after s": lambda one: one.install_s,
        "first token after s": lambda one: one.first_token_s,
        "installed MB": lambda one: one.installed_bytes / 1e6,
    }
    for name, value in rows.items():
        medians = (statistics.median(map(value, of_one)) for of_one in runs.values())
        table.add_row(name, *(f"{median:.0f}" for median in medians))
    Console().print(table)
    for path in distributions:
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        quietly([UV, "build", "--quiet", "--out-dir", name, ROOT])
        (wheel,), distributions = Path(name).glob("*.whl"), sorted(Path(name).glob("raylax-*"))
        runs: dict[str, list[Run]] = {"pip": [], "uv": []}
        for _ in range(args.runs):
            for tool, done in runs.items():
                done.append(run(tool, wheel))
        show(distributions, runs)


if __name__ == "__main__":
    main()
