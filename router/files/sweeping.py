"""What nobody needs any more goes: what has expired, and what a process left when it died."""

import fcntl
import os
import shutil
import time
from pathlib import Path

from raylax.proto.openai.batches.batch import ENDED
from raylax.router.files.disk import locked, remove_directory
from raylax.router.files.files import DATA, file_at
from raylax.router.files.records import record_at
from raylax.router.files.storage import GONE, PART, Storage, TenantStorage


def sweep(storage: Storage) -> None:
    """One look at everything. Any number of processes may do it."""
    now = time.time()
    for folder in storage.folders():
        tenant = storage.within(folder)
        with locked(tenant.lock):
            for place in (tenant.files, tenant.batches):
                remove_left_over(place)
        sweep_expired(tenant, now)


def remove_left_over(place: Path) -> None:
    """For who holds the tenant's lock: only then nobody is about to begin something."""
    for name in os.listdir(place):
        path = place / name
        if name.endswith(GONE) or (name.endswith(PART) and not is_held(path / DATA)):
            shutil.rmtree(path, ignore_errors=True)


def is_held(path: Path) -> bool:
    """Whether a process has this file's lock."""
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def sweep_expired(tenant: TenantStorage, now: float) -> None:
    """Files whose time is over, and batches that have ended as long ago as files are kept."""
    for name in os.listdir(tenant.files):
        if not name.endswith((PART, GONE)) and file_at(tenant.files / name) is None:
            remove_directory(tenant.files / name)
    kept_s = tenant.limits.files_ttl_s
    for name in os.listdir(tenant.batches):
        record = record_at(tenant.batches / name)
        if record is None or record.batch.status not in ENDED:
            continue
        if now > record.batch.created_at + kept_s:
            remove_directory(tenant.batches / name)
