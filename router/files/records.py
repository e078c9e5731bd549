"""Batches of a tenant: how one begins, is found and is cancelled, and what is kept of it.

Its record is written by who holds its lease. That it is to be cancelled anybody may say: by a file
of its own.
"""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from raylax.proto.errors import InvalidRequest
from raylax.proto.openai.batches.batch import ENDED, WINDOW_S, Batch, BatchRequest
from raylax.proto.openai.batches.files import FOR_BATCHES
from raylax.router.files.disk import Lease, locked, remove_directory, sync_directory, write_whole
from raylax.router.files.files import DATA, RECORD, find_file
from raylax.router.files.names import is_name, new_name, unknown
from raylax.router.files.storage import CANCEL, PART, TenantStorage

Ending = Literal["completed", "expired", "cancelled"]
INPUT, OUTPUT, ERRORS = "input", "output", "errors"


class BatchRecord(BaseModel):
    """What is kept of a batch."""

    tenant: str
    kept_s: float
    """How long its output is kept."""
    batch: Batch
    ending: Ending = "completed"
    """What it comes to, once that is sure."""
    output_name: str = ""
    """Of the file that is made of its answers then; empty: there will be none."""
    errors_name: str = ""


def begin_batch(
    tenant: TenantStorage, name: str, asked: BatchRequest, kept_s: float
) -> BatchRecord:
    """A batch that somebody will run. `name`: the tenant's. Raises NotFound for a file that is not
    there, and InvalidRequest for one of another purpose."""
    source = find_file(tenant, asked.input_file_id)
    if source.purpose != FOR_BATCHES:
        raise InvalidRequest(
            f"input_file_id: must be a file of purpose {FOR_BATCHES}, this one is of "
            f"{source.purpose}",
            param="input_file_id",
        )
    id, now = new_name("batch"), int(time.time())
    batch = Batch(
        id=id,
        endpoint=asked.endpoint,
        input_file_id=source.id,
        created_at=now,
        expires_at=now + WINDOW_S,
        metadata=asked.metadata,
    )
    expires = asked.output_expires_after
    record = BatchRecord(
        tenant=name, kept_s=kept_s if expires is None else expires.seconds, batch=batch
    )
    made = tenant.batches / f"{id}{PART}"
    with locked(tenant.lock):
        tenant.check_count(tenant.batches, "batches")
        made.mkdir(mode=0o700)
        try:
            os.link(tenant.files / source.id / DATA, made / INPUT)  # the file may be deleted
        except FileNotFoundError:  # it has been, this moment
            raise unknown("file", source.id) from None
        lease = None
        while lease is None:  # a router that found it without its batch has ended it
            lease = Lease.take(tenant.lease_of(id), make=True)
        try:
            save(made, record)
            made.rename(tenant.batches / id)
            sync_directory(tenant.batches)
        finally:
            lease.give_back()
    return record


def save(path: Path, record: BatchRecord) -> None:
    """For who holds the lease."""
    write_whole(path / RECORD, record.model_dump_json().encode())


def record_at(path: Path) -> BatchRecord | None:
    """None for one that is not there."""
    with suppress(FileNotFoundError):
        return BatchRecord.model_validate_json((path / RECORD).read_bytes())
    return None


def cancelled_at(path: Path) -> int | None:
    """When somebody has said that it is to be cancelled; None: nobody has."""
    with suppress(FileNotFoundError):
        return int((path / CANCEL).stat().st_mtime)
    return None


def batch_at(path: Path) -> Batch | None:
    """A batch as it is shown. None for one that is not there."""
    if (record := record_at(path)) is None:
        return None
    batch = record.batch
    if batch.status not in ENDED and (at := cancelled_at(path)) is not None:
        batch = batch.model_copy(update={"status": "cancelling", "cancelling_at": at})
    return batch


def find_batch(tenant: TenantStorage, id: str) -> Batch:
    """Raises NotFound, also for another tenant's."""
    if is_name("batch", id) and (found := batch_at(tenant.batches / id)) is not None:
        return found
    raise unknown("batch", id)


def cancel_batch(tenant: TenantStorage, id: str) -> Batch:
    """Whoever runs it will end it. Raises NotFound, and InvalidRequest for one that has ended."""
    if (batch := find_batch(tenant, id)).status in ENDED:
        raise InvalidRequest(f"{id} cannot be cancelled any more: it is {batch.status}", param="id")
    (tenant.batches / id / CANCEL).touch(mode=0o600)
    return find_batch(tenant, id)


def forget_batch(tenant: TenantStorage, id: str) -> None:
    remove_directory(tenant.batches / id)
