"""Files of a tenant: how one comes, is found, and goes."""

import fcntl
import os
import time
from pathlib import Path
from typing import Literal

from raylax.proto.errors import InvalidRequest, Overloaded
from raylax.proto.openai.batches.files import FOR_BATCHES, FileObject
from raylax.router.files.disk import (
    locked,
    remove_directory,
    sync_directory,
    write_all,
    write_whole,
)
from raylax.router.files.names import is_name, new_name, unknown
from raylax.router.files.storage import PART, TenantStorage

RECORD, DATA = "record", "data"
FULL_AGAIN_S = 60.0


class Upload:
    """A file on its way. Its room is taken from the beginning; who dies gives it back, by the lock
    of the file."""

    def __init__(self, tenant: TenantStorage, size: int) -> None:
        """`size`: how many bytes it will have at most. Raises InvalidRequest where there is no room
        for them."""
        self._tenant, self.id, self.bytes = tenant, new_name("file"), 0
        self._path = tenant.files / f"{self.id}{PART}"
        with locked(tenant.lock):
            tenant.check_count(tenant.files, "files")
            if size > (room := tenant.room):
                raise InvalidRequest(
                    f"your files may have {tenant.limits.max_files_bytes} bytes together, there is "
                    f"room for {room} more, and {size} were to come: delete some",
                    param="file",
                )
            self._path.mkdir(mode=0o700)
            self._file = os.open(self._path / DATA, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX)
                os.truncate(self._file, size)
            except BaseException:
                self.drop()
                raise

    def write(self, data: bytes | bytearray) -> None:
        """Raises Overloaded for a disk that is full."""
        try:
            write_all(self._file, data)
        except OSError as error:
            raise Overloaded(
                f"the file cannot be kept: {error.strerror}", retry_after_s=FULL_AGAIN_S
            ) from error
        self.bytes += len(data)

    def keep(self, filename: str, kept_s: float) -> FileObject:
        """It is there from now on."""
        os.truncate(self._file, self.bytes)
        os.fsync(self._file)
        record = file_record(self.id, self.bytes, filename, FOR_BATCHES, kept_s)
        write_whole(self._path / RECORD, record.model_dump_json().encode())
        self._path.rename(self._tenant.files / self.id)
        sync_directory(self._tenant.files)
        os.close(self._file)
        return record

    def drop(self) -> None:
        """It will never be there."""
        os.close(self._file)
        remove_directory(self._path)


def file_record(
    id: str, size: int, filename: str, purpose: Literal["batch", "batch_output"], kept_s: float
) -> FileObject:
    now = int(time.time())
    return FileObject(
        id=id,
        bytes=size,
        created_at=now,
        expires_at=now + int(kept_s),
        filename=filename,
        purpose=purpose,
    )


def publish(tenant: TenantStorage, id: str, source: Path, filename: str, kept_s: float) -> None:
    """A file with what is in `source`, which keeps its own name, too; done once, however often it
    is asked for."""
    if (tenant.files / id).exists():
        return
    made = tenant.files / f"{id}{PART}"
    with locked(tenant.lock):  # nobody sweeps meanwhile
        remove_directory(made)
        made.mkdir(mode=0o700)
        os.link(source, made / DATA)
        size = source.stat().st_size
        record = file_record(id, size, filename, "batch_output", kept_s)
        write_whole(made / RECORD, record.model_dump_json().encode())
        made.rename(tenant.files / id)
        sync_directory(tenant.files)


def find_file(tenant: TenantStorage, id: str) -> FileObject:
    """Raises NotFound, also for another tenant's."""
    if is_name("file", id) and (found := file_at(tenant.files / id)) is not None:
        return found
    raise unknown("file", id)


def file_at(path: Path) -> FileObject | None:
    """None for one that is not there, or has expired."""
    try:
        found = FileObject.model_validate_json((path / RECORD).read_bytes())
    except FileNotFoundError:
        return None
    expired = found.expires_at is not None and found.expires_at <= time.time()
    return None if expired else found


def open_file(tenant: TenantStorage, id: str) -> tuple[FileObject, int]:
    """A file, and a descriptor of what it holds. Raises NotFound."""
    found = find_file(tenant, id)
    try:
        return found, os.open(tenant.files / id / DATA, os.O_RDONLY)
    except FileNotFoundError:
        raise unknown("file", id) from None


def delete_file(tenant: TenantStorage, id: str) -> None:
    """Batches that are made of it go on. Raises NotFound."""
    find_file(tenant, id)
    remove_directory(tenant.files / id)
