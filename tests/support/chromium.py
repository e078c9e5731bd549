"""Chromium for the tests of the page at /dashboard, out of Debian's packages: `scripts/chromium`.

It is unpacked below the user's own cache, with the libraries that the machine lacks: one download
is enough for all checkouts, and nothing is installed.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.debian import unpack

PACKAGE = "chromium-headless-shell"
HERE = Path.home() / ".cache" / "raylax-chromium"
PROGRAM = HERE / "usr/lib/chromium" / PACKAGE


def program() -> Path | None:
    """The browser; None if there is none."""
    installed = shutil.which(PACKAGE)
    return Path(installed) if installed else PROGRAM if PROGRAM.exists() else None


def environment() -> dict[str, str | float | bool]:
    """In which it finds its libraries."""
    libraries = sorted({str(file.parent) for file in (HERE / "usr/lib").rglob("*.so*")})
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)}


def fetch() -> None:
    """Download and unpack it. Raises CalledProcessError; FileNotFoundError without apt-get."""
    asked = ["apt-get", "install", "--simulate", "--no-install-recommends", PACKAGE]
    plan = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    unpack([line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")], HERE)


def main() -> None:
    """Fetch it, if it is not here."""
    if program() is None:
        try:
            fetch()
        except (OSError, subprocess.CalledProcessError) as error:
            sys.exit(f"the tests marked browser will be skipped: {error}")
    print(program())


if __name__ == "__main__":
    main()
