"""Installs raylax as it lies here into an environment, with what it needs; run by `make serve`.

    python scripts/install.py .venv [--group dev]

uv does it where it is or can be had, in a third of pip's time; else pip does, which knows of a
package index of one's own from its configuration. What they say becomes one line that changes; all
of it is shown if they fail. Only Python is needed: this runs before anything is installed.
"""

import argparse
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
OF_ONE_PACKAGE = re.compile(r"\s*([+~-] |Using cached|Requirement already|Preparing metadata)")
STAGE = re.compile(r"(Resolved|Prepared|Installed|Bytecode|Installing collected|Successfully)")
WIDTH = 72


class Line:
    """What is being done and for how long: on a terminal one line that changes, elsewhere a line
    for each stage."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._text = ""
        self._on_terminal = sys.stdout.isatty()

    def show(self, text: str, is_stage: bool = True) -> None:
        self._text = text.strip()[:WIDTH]
        if self._on_terminal:
            self.draw()
        elif is_stage:
            print(self._said(), flush=True)

    def draw(self) -> None:
        print(f"\r\033[K{self._said()}", end="", flush=True)

    def _said(self) -> str:
        return f"[{time.monotonic() - self._begun:5.1f} s] {self._text}"

    @contextmanager
    def ticking(self) -> Iterator[None]:
        """Draws it anew every half second, so that who waits sees that it goes on."""
        stop = threading.Event()

        def tick() -> None:
            while not stop.wait(0.5):
                self.draw()

        if self._on_terminal:
            threading.Thread(target=tick, daemon=True).start()
        try:
            yield
        finally:
            stop.set()
            if self._on_terminal:
                print(flush=True)


def run(line: Line, *command: str | Path) -> str | None:
    """Runs it in the repository's root. Nothing, or all that it said if it failed."""
    said = []
    try:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    except OSError as error:
        return str(error)
    with process:
        assert process.stdout is not None
        for text in process.stdout:
            said.append(text)
            if text.strip() and not OF_ONE_PACKAGE.match(text):
                line.show(text, bool(STAGE.match(text)))
    return "".join(said) if process.returncode else None


def uv(line: Line, pip: Path) -> str | None:
    """Where it is: on the PATH, in the environment, or there from now on."""
    own = pip.with_name("uv")
    if found := shutil.which("uv"):
        return found
    if own.exists() or not run(line, pip, "install", "--quiet", "uv"):
        return str(own)
    return None


def install(line: Line, environment: Path, groups: list[str]) -> str | None:
    """Nothing, or what the installer said that failed."""
    pip = environment / "bin" / "pip"
    if not pip.exists():
        line.show(f"making {environment.name}")
        if failed := run(line, sys.executable, "-m", "venv", environment):
            return failed
    what = ["--editable", ".", *(f"--group={group}" for group in groups)]
    if found := uv(line, pip):
        python = environment / "bin" / "python"
        with_uv = [found, "pip", "install", "--python", python, "--compile-bytecode"]
        if not run(line, *with_uv, *what):
            return None
        line.show("uv could not: trying pip")
    return run(line, pip, "install", "--upgrade", "pip>=25.1") or run(line, pip, "install", *what)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("environment", type=Path)
    parser.add_argument("--group", action="append", default=[], help="of pyproject.toml, as dev")
    args = parser.parse_args()
    line = Line()
    with line.ticking():
        failed = install(line, args.environment.absolute(), args.group)
        if not failed:
            line.show(f"installed in {args.environment}")
    if failed:
        sys.exit(f"{failed}\nerror: raylax could not be installed in {args.environment}")


if __name__ == "__main__":
    main()
