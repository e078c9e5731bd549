"""What has been downloaded of a repository: contents by their checksum, and snapshots of links.

The layout is huggingface_hub's, whose cache is one of these.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from raylax.kernels.sources.download import Job
from raylax.kernels.sources.files import Listed


@dataclass(frozen=True, slots=True)
class Contents:
    """Of one repository, below one directory."""

    folder: Path
    locks: Path

    def jobs(self, files: Sequence[Listed], url: Callable[[Listed], str], redo: bool) -> list[Job]:
        """What must be downloaded, each content once."""
        once = {file.digest: file for file in files}.values()
        return [
            Job(url(file), self.blob(file), self.locks / f"{file.digest}.lock", file)
            for file in once
            if redo or not self.blob(file).exists()
        ]

    def blob(self, file: Listed) -> Path:
        return self.folder / "blobs" / file.digest

    def snapshot(self, commit: str) -> Path:
        return self.folder / "snapshots" / commit

    def lay_out(self, commit: str, files: Sequence[Listed]) -> None:
        """Under their names; their contents are there."""
        for file in files:
            link(self.snapshot(commit) / file.path, self.blob(file))

    def listing(self, commit: str) -> list[Listed]:
        """What is there of a snapshot, whole."""
        snapshot = self.snapshot(commit)
        return [
            Listed(str(path.relative_to(snapshot)), path.stat().st_size, "")
            for path in sorted(snapshot.rglob("*"))
            if path.is_file()
        ]


def link(name: Path, blob: Path) -> None:
    """A snapshot's file, which is a link to its content."""
    target = os.path.relpath(blob, name.parent)
    if name.is_symlink() and os.readlink(name) == target:
        return
    name.parent.mkdir(parents=True, exist_ok=True)
    name.unlink(missing_ok=True)
    name.symlink_to(target)


def write(file: Path, text: str) -> None:
    """Whole or not at all; and not where it says so already, in a cache that may not be ours."""
    if file.is_file() and file.read_text() == text:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    part.write_text(text)
    os.replace(part, file)
