"""Programs out of Debian's packages, for tests: in the user's own cache, by no root, and nothing
is installed. One download is enough for all checkouts.

`scripts/debian_tools` fetches those that there are.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


class Tool(NamedTuple):
    """A program, and how it comes to be here. It needs nothing but what every system has."""

    name: str
    package: str
    path: str
    """In the package."""

    @property
    def directory(self) -> Path:
        """Where the package is unpacked."""
        return CACHE / f"raylax-{self.package}"

    @property
    def program(self) -> Path | None:
        """Installed, or unpacked; None if there is none."""
        installed, unpacked = shutil.which(self.name), self.directory / self.path
        return Path(installed) if installed else unpacked if unpacked.exists() else None


PROMTOOL = Tool("promtool", "prometheus", "usr/bin/promtool")
DEBOOTSTRAP = Tool("debootstrap", "debootstrap", "usr/sbin/debootstrap")


def unpack(packages: Iterable[str], directory: Path) -> None:
    """Download them, and have what is in them there, in place of what was. Raises OSError without
    apt-get, CalledProcessError."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent) as folder:
        command = ["apt-get", "download", *packages]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        unpacked = Path(folder) / "unpacked"
        for archive in sorted(Path(folder).glob("*.deb")):
            subprocess.run(["dpkg-deb", "--extract", archive, unpacked], check=True)
        shutil.rmtree(directory, ignore_errors=True)
        unpacked.rename(directory)


def main() -> None:
    """Fetch what is not here."""
    for tool in (PROMTOOL, DEBOOTSTRAP):
        if tool.program is None:
            try:
                unpack([tool.package], tool.directory)
            except (OSError, subprocess.CalledProcessError) as error:
                print(f"tests that need {tool.name} will be skipped: {error}", file=sys.stderr)
        print(tool.program)


if __name__ == "__main__":
    main()
