"""The files and batches of tenants, on disk.

    open/BATCH.FOLDER          the lease of a batch that has not ended
    FOLDER/lock                held while room is given, and while something is put in place
    FOLDER/files/ID/           record, data
    FOLDER/batches/ID/         record, input, output, errors, cancel

What has a name is whole: a directory is filled under another name, and then renamed.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from raylax.proto.errors import InvalidRequest
from raylax.proto.openai.batches.batch import WINDOW_S
from raylax.router.config import RouterLimits
from raylax.router.files.disk import Lease, make_directory
from raylax.router.files.names import folder_of, is_name

OPEN, FILES, BATCHES, LOCK = "open", "files", "batches", "lock"
CANCEL = "cancel"
PART, GONE = ".part", ".gone"
"""Ends of the names of what is not there yet, and of what is there no more."""


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch that has not ended, by its lease."""

    id: str
    folder: str
    path: Path
    over: bool
    """Whether nothing of it is to be answered any more: it was cancelled, or its time is over."""

    def lease(self) -> Lease | None:
        """None while somebody holds it."""
        return Lease.take(self.path)


class Storage:
    """The directory. Knows nothing: other processes change it, too."""

    def __init__(self, directory: Path, limits: RouterLimits) -> None:
        self.directory, self.limits = directory, limits
        make_directory(directory / OPEN)

    def of(self, tenant: str) -> "TenantStorage":
        return self.within(folder_of(tenant))

    def within(self, folder: str) -> "TenantStorage":
        return TenantStorage(self, folder)

    def open_batches(self) -> list[OpenBatch]:
        """The oldest first."""
        paths = sorted((self.directory / OPEN).iterdir())
        return [one for path in paths if (one := self._open_batch(path)) is not None]

    def _open_batch(self, path: Path) -> OpenBatch | None:
        id, _, folder = path.name.partition(".")
        try:
            made_at = path.stat().st_mtime
        except FileNotFoundError:  # it has just ended
            return None
        if not is_name("batch", id):
            return None
        cancelled = (self.directory / folder / BATCHES / id / CANCEL).exists()
        return OpenBatch(id, folder, path, cancelled or time.time() > made_at + WINDOW_S)

    def folders(self) -> list[str]:
        """Of all tenants that have ever had something."""
        return [one.name for one in self.directory.iterdir() if one.name != OPEN and one.is_dir()]


class TenantStorage:
    """What one tenant has, and may have."""

    def __init__(self, storage: Storage, folder: str) -> None:
        self.storage, self.folder = storage, folder
        self.limits = storage.limits
        directory = storage.directory / folder
        self.files, self.batches = directory / FILES, directory / BATCHES
        self.lock = directory / LOCK
        for needed in (self.files, self.batches):
            make_directory(needed)

    def lease_of(self, batch_id: str) -> Path:
        return self.storage.directory / OPEN / f"{batch_id}.{self.folder}"

    @property
    def bytes(self) -> int:
        """All that lies here: what is known by several names counts once, and what is on its way as
        much as was asked for."""
        sizes: dict[int, int] = {}
        for place in (self.files, self.batches):
            for directory, _, names in os.walk(place):
                for name in names:
                    try:
                        found = os.stat(os.path.join(directory, name))
                    except FileNotFoundError:
                        continue
                    sizes[found.st_ino] = found.st_size
        return sum(sizes.values())

    @property
    def room(self) -> int:
        """Bytes that there may be more."""
        return max(0, self.limits.max_files_bytes - self.bytes)

    def check_count(self, place: Path, what: str) -> None:
        """Raises InvalidRequest where there is no more room for one of these."""
        most = self.limits.max_files
        if (has := len(os.listdir(place))) >= most:
            raise InvalidRequest(f"you may have {most} {what}, you have {has}: delete some")
