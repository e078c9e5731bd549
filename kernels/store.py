"""The artefact store: files named by what they were made from, made once, under a lock.

A reader finds an artefact whole or not at all. Several processes that want the same one wait for
the first to make it. Those that nobody has asked for in a month make room when a new one is made;
a process that has one mapped keeps it.

What is found is code: nobody but us and root may be able to put something there.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from raylax.kernels.errors import CompileError
from raylax.kernels.ownership import check_all_ours, check_ours

MIB = 1 << 20
UNFINISHED = re.compile(r"([0-9a-f]{32})\.\w+")
"""The name of a directory that an artefact is made in: its key, and letters."""
KEPT_S = 30 * 24 * 3600
"""An artefact's time of modification is when it was last asked for."""

JIT_VARIABLE = "MLC_JIT_POLICY"


class JitPolicy(StrEnum):
    """ON: what the store has, and else it is compiled. READONLY: what the store has. REDO: it is
    compiled again, by each process that loads it. OFF: only what `model_lib` names, and of what all
    models share what the store has."""

    ON = "ON"
    OFF = "OFF"
    REDO = "REDO"
    READONLY = "READONLY"

    def check_found(self, what: str) -> None:
        """Before something is compiled that the store does not have. Raises CompileError."""
        if self in (JitPolicy.READONLY, JitPolicy.OFF):
            raise CompileError(
                f"{what} is not in the store, and with {JIT_VARIABLE}={self} nothing is compiled: "
                f"`raylax compile` the model before, or set {JIT_VARIABLE}={JitPolicy.ON}"
            )

    def check_given(self, what: str) -> None:
        """Before the store is asked for what nobody has named. Raises CompileError."""
        if self is JitPolicy.OFF:
            raise CompileError(
                f"with {JIT_VARIABLE}={self} {what} must be named by model_lib, found none: name "
                f"it, or set {JIT_VARIABLE}={JitPolicy.ON}"
            )


def jit_policy(environment: Mapping[str, str] = os.environ) -> JitPolicy:
    """Raises CompileError for a word that is none of them."""
    said = environment.get(JIT_VARIABLE) or JitPolicy.ON
    try:
        return JitPolicy(said)
    except ValueError:
        known = ", ".join(JitPolicy)
        raise CompileError(f"{JIT_VARIABLE} must be {known}; found {ascii(said)}") from None


def default_root() -> Path:
    """`$RAYLAX_STORE`, else `raylax` in the user's cache directory."""
    named = os.environ.get("RAYLAX_STORE")
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(named) if named else cache_home / "raylax"


@cache
def source_hash(without: frozenset[str] = frozenset()) -> str:
    """A digest of everything in this part but these rooms of it: a changed kernel is a different
    artefact."""
    part = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(part.rglob("*.py")):
        name = path.relative_to(part)
        if name.parts[0].removesuffix(".py") not in without:
            digest.update(str(name).encode())
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
        """The artefact's directory, if it was made. Raises UntrustedPath where another user could
        put something."""
        final = self.root / kind / key
        check_ours(final)
        if not final.exists():
            return None
        check_all_ours(final)
        with contextlib.suppress(OSError):  # a store that is not ours to write serves, too
            os.utime(final)
        return final

    def check_room(self, needed: int) -> None:
        """Raises OSError if its disk has no room for so many bytes more."""
        self.remove_unfinished()
        check_room(self.root, needed)

    def remove_unfinished(self) -> None:
        """What makers had begun that were killed, whatever it was to be: gigabytes, perhaps. Who is
        at work has a lock."""
        for left in self.root.glob("*/*.*/"):
            if found := UNFINISHED.fullmatch(left.name):
                lock = FileLock(left.with_name(f"{found[1]}.lock"))
                with contextlib.suppress(Timeout, OSError), lock.acquire(timeout=0):
                    shutil.rmtree(left, ignore_errors=True)

    def get(
        self, kind: str, key: str, make: Callable[[Path], None], again: bool = False
    ) -> tuple[Path, bool]:
        """The artefact's directory, and whether it was made.

        `make(directory)` fills a new directory, which then takes its place in one rename; one that
        is there and is made `again` gets the new files one by one, so that there always are some.
        Raises UntrustedPath where another user could put something.
        """
        if (found := self.find(kind, key)) and not again:
            return found, False
        final = self.root / kind / key
        make_private(final.parent)
        check_ours(final.parent)  # somebody may have been faster
        with FileLock(f"{final}.lock"):
            if (there := self.find(kind, key)) and not again:
                return there, False
            for left in final.parent.glob(f"{key}.*/"):  # by a maker that was killed
                shutil.rmtree(left, ignore_errors=True)
            unfinished = Path(tempfile.mkdtemp(prefix=f"{key}.", dir=final.parent))
            try:
                make(unfinished)
                keep_others_from_writing(unfinished)
                if there:
                    for file in unfinished.iterdir():
                        file.replace(final / file.name)
                    unfinished.rmdir()
                else:
                    unfinished.rename(final)
            except BaseException:
                shutil.rmtree(unfinished, ignore_errors=True)
                raise
        forget_unused(final.parent, time.time() - KEPT_S)
        return final, True


def check_room(directory: Path, needed: int) -> None:
    """Raises OSError if the disk of a directory, of which not all may be there yet, has no room for
    so many bytes more."""
    path = directory.absolute()
    there = next(place for place in (path, *path.parents) if place.exists())
    if (free := shutil.disk_usage(there).free) < needed:
        said = f"{needed / MIB:.0f} MiB are needed, {free / MIB:.0f} MiB are free"
        raise OSError(errno.ENOSPC, said, str(directory))


def make_private(directory: Path) -> None:
    """The directory, and those above it that are missing, for us alone."""
    missing = [place for place in (directory, *directory.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(mode=0o700, exist_ok=True)


def keep_others_from_writing(directory: Path) -> None:
    """All that lies in it, whatever the umask was when it was made."""
    for path in directory.rglob("*"):
        path.chmod(path.stat().st_mode & ~(stat.S_IWGRP | stat.S_IWOTH))


def forget_unused(kind: Path, since: float) -> None:
    """Removes the artefacts of a kind that nobody asked for since then. Lock files stay: somebody
    may be waiting for one."""
    with os.scandir(kind) as found:  # of thousands, half of them lock files
        unused = [one.path for one in found if is_unused(one, since)]
    for artefact in unused:
        shutil.rmtree(artefact, ignore_errors=True)


def is_unused(entry: "os.DirEntry[str]", since: float) -> bool:
    """Whether it is an artefact that nobody asked for since then. One that its maker has put in its
    place meanwhile is not."""
    try:
        return entry.is_dir() and entry.stat().st_mtime < since
    except FileNotFoundError:
        return False
