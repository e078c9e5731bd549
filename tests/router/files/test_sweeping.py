"""What nobody needs any more goes, and nothing else."""

import os
import time
from pathlib import Path

import pytest

from raylax.proto.errors import NotFound
from raylax.proto.openai.batches.batch import BatchRequest
from raylax.router.batches.ending import finish
from raylax.router.batches.runner import taken
from raylax.router.config import RouterLimits
from raylax.router.files.files import RECORD, Upload, delete_file, find_file, open_file
from raylax.router.files.records import begin_batch, cancel_batch, find_batch, record_at, save
from raylax.router.files.storage import Storage, TenantStorage
from raylax.router.files.sweeping import sweep
from tests.support.batch_routers import CHAT, jsonl, line

DAY_S = 24 * 3600


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path, RouterLimits())


@pytest.fixture
def tenant(storage: Storage) -> TenantStorage:
    return storage.of("alice")


def a_file(tenant: TenantStorage, kept_s: float = DAY_S) -> str:
    upload = Upload(tenant, 1000)
    upload.write(jsonl([line("a")]))
    return upload.keep("in", kept_s).id


def a_batch(tenant: TenantStorage, file: str) -> str:
    asked = BatchRequest(input_file_id=file, endpoint=CHAT, completion_window="24h")
    return begin_batch(tenant, "alice", asked, DAY_S).batch.id


def test_a_file_whose_time_is_over_is_not_there(storage: Storage, tenant: TenantStorage) -> None:
    """At once; and its room is free after the next sweep."""
    kept, gone = a_file(tenant), a_file(tenant, kept_s=0)
    with pytest.raises(NotFound):
        find_file(tenant, gone)
    before = tenant.bytes
    sweep(storage)

    assert os.listdir(tenant.files) == [kept]
    assert tenant.bytes < before
    assert find_file(tenant, kept).id == kept


def test_what_is_on_its_way_stays(storage: Storage, tenant: TenantStorage) -> None:
    """Until it is given up."""
    upload = Upload(tenant, 1000)
    sweep(storage)
    upload.write(b"abc")
    id = upload.keep("in", DAY_S).id
    dead = Upload(tenant, 1000)
    os.close(dead._file)
    sweep(storage)

    assert os.listdir(tenant.files) == [id]


def test_a_batch_is_remembered_as_long_as_files_are_kept(
    storage: Storage, tenant: TenantStorage
) -> None:
    """Not longer, and none goes that has not ended."""
    file = a_file(tenant)
    runs, old, young = (a_batch(tenant, file) for _ in range(3))
    for id in (old, young):
        cancel_batch(tenant, id)
        (one,) = (one for one in storage.open_batches() if one.id == id)
        assert one.over
        assert (ledger := taken(storage, one)) is not None
        finish(ledger, "cancelled")
        ledger.close()
    for id in (runs, old):
        record = record_at(tenant.batches / id)
        assert record is not None
        record.batch.created_at -= 31 * DAY_S
        save(tenant.batches / id, record)
    sweep(storage)

    assert sorted(os.listdir(tenant.batches)) == sorted([runs, young])
    assert find_batch(tenant, young).status == "cancelled"
    assert [one.id for one in storage.open_batches()] == [runs]


def test_a_batch_is_over_when_its_day_is(storage: Storage, tenant: TenantStorage) -> None:
    """Also one that waits for another one of its tenant."""
    id = a_batch(tenant, a_file(tenant))
    (waits,) = storage.open_batches()
    yesterday = time.time() - DAY_S - 1
    os.utime(waits.path, (yesterday, yesterday))
    (over,) = storage.open_batches()
    assert (ledger := taken(storage, over)) is not None

    assert (waits.over, over.over) == (False, True)
    assert ledger.early_end(time.time()) is None
    assert ledger.early_end(time.time() + DAY_S) == "expired"
    finish(ledger, "expired")
    ledger.close()
    assert find_batch(tenant, id).status == "expired"


def test_who_reads_a_file_reads_it_to_its_end(tenant: TenantStorage) -> None:
    """Though it is deleted meanwhile."""
    id = a_file(tenant)
    record, file = open_file(tenant, id)
    delete_file(tenant, id)

    assert len(os.pread(file, 1000, 0)) == record.bytes
    os.close(file)
    assert not (tenant.files / id / RECORD).exists()
