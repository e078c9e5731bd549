"""The artefact store: files named by what they were made from, made once, under a lock.

A reader finds an artefact whole or not at all. Several processes that want the same one wait for
the first to make it. Those that nobody has asked for in a month make room when a new one is made;
a process that has one mapped keeps it.
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock

MIB = 1 << 20
KEPT_S = 30 * 24 * 3600
"""An artefact's time of modification is when it was last asked for."""


def default_root() -> Path:
    """`$RAYLAX_STORE`, else `raylax` in the user's cache directory."""
    named = os.environ.get("RAYLAX_STORE")
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(named) if named else cache_home / "raylax"


@cache
def source_hash() -> str:
    """A digest of everything in this room: a changed kernel is a different artefact."""
    room = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(room.rglob("*.py")):
        digest.update(str(path.relative_to(room)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def key_of(facts: dict[str, Any]) -> str:
    """A name for what is made from these facts."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


class Store:
    """Artefacts below one directory."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or default_root()

    def find(self, kind: str, key: str) -> Path | None:
        """The artefact's directory, if it was made."""
        final = self.root / kind / key
        if not final.exists():
            return None
        with contextlib.suppress(OSError):  # a store that is not ours to write serves, too
            os.utime(final)
        return final

    def check_room(self, needed: int) -> None:
        """Raises OSError if its disk has no room for so many bytes more."""
        root = self.root.absolute()
        there = next(place for place in (root, *root.parents) if place.exists())
        if (free := shutil.disk_usage(there).free) < needed:
            said = f"{needed / MIB:.0f} MiB are needed, {free / MIB:.0f} MiB are free"
            raise OSError(errno.ENOSPC, said, str(self.root))

    def get(self, kind: str, key: str, make: Callable[[Path], None]) -> tuple[Path, bool]:
        """The artefact's directory, and whether it had to be made.

        `make(directory)` fills a new directory, which then takes its place in one rename.
        """
        if found := self.find(kind, key):
            return found, False
        final = self.root / kind / key
        final.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{final}.lock"):
            if final.exists():
                return final, False
            for left in final.parent.glob(f"{key}.*/"):  # by a maker that was killed
                shutil.rmtree(left, ignore_errors=True)
            unfinished = Path(tempfile.mkdtemp(prefix=f"{key}.", dir=final.parent))
            try:
                make(unfinished)
                unfinished.rename(final)
            except BaseException:
                shutil.rmtree(unfinished, ignore_errors=True)
                raise
        forget_unused(final.parent, time.time() - KEPT_S)
        return final, True


def forget_unused(kind: Path, since: float) -> None:
    """Removes the artefacts of a kind that nobody asked for since then. Lock files stay: somebody
    may be waiting for one."""
    for artefact in kind.iterdir():
        if artefact.is_dir() and artefact.stat().st_mtime < since:
            shutil.rmtree(artefact, ignore_errors=True)
