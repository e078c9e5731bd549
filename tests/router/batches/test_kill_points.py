"""Whoever runs a batch may die at any moment, and the machine with it: in the end each line has one
result, and each file is there once."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raylax.proto.openai.batches.batch import ENDED, BatchRequest
from raylax.router.batches.ending import clear, finish
from raylax.router.batches.ledger import BatchLedger
from raylax.router.batches.results import Results, answered, unanswered
from raylax.router.batches.runner import taken
from raylax.router.config import RouterLimits
from raylax.router.files.files import DATA, Upload, find_file
from raylax.router.files.records import ERRORS, OUTPUT, Ending, begin_batch, find_batch
from raylax.router.files.storage import Storage, TenantStorage
from raylax.router.files.sweeping import sweep
from tests.support.batch_routers import CHAT, jsonl, line, parsed

LIMITS = RouterLimits()
KEPT_S = 7200.0
LINES = [line(f"{n}") for n in range(6)]


@pytest.fixture(scope="module", autouse=True)
def disk_in_memory() -> Iterator[None]:
    """No machine fails here: nobody waits for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


class Killed(BaseException):
    """The process is gone."""


@contextmanager
def dying_at(call: int) -> Iterator[None]:
    """Whoever calls the system to change something on the disk dies before the call of this number,
    counted from 0."""
    left = [call]

    def counted(real: Any) -> Any:
        def instead(*args: Any, **more: Any) -> Any:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return real(*args, **more)

        return instead

    with pytest.MonkeyPatch.context() as patch:
        for name in ("write", "rename", "mkdir", "link", "unlink", "truncate", "fsync", "rmdir"):
            patch.setattr(os, name, counted(getattr(os, name)))
        yield


@contextmanager
def a_tenant() -> Iterator[tuple[Storage, TenantStorage]]:
    with TemporaryDirectory() as directory:
        storage = Storage(Path(directory), LIMITS)
        yield storage, storage.of("alice")


def a_batch(tenant: TenantStorage) -> str:
    upload = Upload(tenant, 10_000)
    upload.write(jsonl(LINES))
    source = upload.keep("in", KEPT_S)
    asked = BatchRequest(input_file_id=source.id, endpoint=CHAT, completion_window="24h")
    return begin_batch(tenant, "alice", asked, KEPT_S).batch.id


def go_on(storage: Storage, ending: Ending, lines: int) -> None:
    """As a router does it: whoever dies lets go of the lease, as the kernel sees to it."""
    for one in storage.open_batches():
        if (ledger := taken(storage, one)) is not None:
            try:
                run(ledger, ending, lines)
            finally:
                ledger.close()


def run(ledger: BatchLedger, ending: Ending, lines: int) -> None:
    """To its end, of which it is only sure after so many lines."""
    batch = ledger.record.batch
    if batch.status == "validating":
        ledger.check()
    if batch.status == "in_progress":
        for asked in ledger.left():
            if asked.number > lines and ending != "completed":
                break
            status = 400 if asked.number % 3 == 0 else 200
            ledger.add(
                asked, answered(batch.id, asked.number, asked.custom_id, status, "r", b'{"a":1}')
            )
            ledger.keep()
    if batch.status in ENDED:
        clear(ledger)
    else:
        finish(ledger, ending)


def check_whole(storage: Storage, tenant: TenantStorage, id: str, ending: Ending) -> None:
    """It has ended so, with each line once."""
    batch = find_batch(tenant, id)
    assert batch.status == ending
    results = []
    for name in (batch.output_file_id, batch.error_file_id):
        assert name is not None
        record = find_file(tenant, name)
        content = (tenant.files / name / DATA).read_bytes()
        assert record.bytes == len(content)
        results += parsed(content)
    assert sorted(one["custom_id"] for one in results) == [f"{n}" for n in range(6)]
    counts = batch.request_counts
    assert counts.total == counts.completed + counts.failed == 6
    assert len(list(tenant.files.iterdir())) == 3, "the input, the output and the errors"
    assert [one.name for one in (tenant.batches / id).iterdir()] == ["record"]
    assert storage.open_batches() == []


ENDINGS = st.sampled_from(["completed", "cancelled", "expired"])


@settings(max_examples=40)
@given(st.lists(st.integers(0, 60), max_size=6), ENDINGS, st.integers(1, 5))
def test_each_line_has_one_result_wherever_routers_die(
    deaths: list[int], ending: Ending, lines: int
) -> None:
    """One after the other, each after so many changes of the disk; then one lives."""
    with a_tenant() as (storage, tenant):
        id = a_batch(tenant)
        for calls in deaths:
            with suppress(Killed), dying_at(calls):
                go_on(storage, ending, lines)
        go_on(storage, ending, lines)
        sweep(storage)

        check_whole(storage, tenant, id, ending)


def test_no_call_is_one_after_which_something_is_lost() -> None:
    """The same for one death at each of the calls, until there are no more."""
    for calls in range(1000):
        with a_tenant() as (storage, tenant):
            id, died = a_batch(tenant), False
            try:
                with dying_at(calls):
                    go_on(storage, "completed", 6)
            except Killed:
                died = True
            go_on(storage, "completed", 6)
            sweep(storage)

            check_whole(storage, tenant, id, "completed")
        if not died:
            break
    assert calls > 40


def test_a_batch_is_begun_or_not() -> None:
    """Wherever its router dies: it runs to its end, or nothing is left of it."""
    whole = 0
    for calls in range(100):
        with a_tenant() as (storage, tenant):
            upload = Upload(tenant, 10_000)
            upload.write(jsonl(LINES))
            source, died = upload.keep("in", KEPT_S), False
            asked = BatchRequest(input_file_id=source.id, endpoint=CHAT, completion_window="24h")
            try:
                with dying_at(calls):
                    begin_batch(tenant, "alice", asked, KEPT_S)
            except Killed:
                died = True
            go_on(storage, "completed", 6)
            sweep(storage)
            left = [one.name for one in tenant.batches.iterdir()]
            for id in left:
                check_whole(storage, tenant, id, "completed")
                whole += 1

            assert storage.open_batches() == []
            assert len(left) <= 1
        if not died:
            break
    assert calls > 4 and whole > 0


def test_a_file_has_come_or_not() -> None:
    """Wherever its router dies; and its room is free again."""
    for calls in range(100):
        with a_tenant() as (storage, tenant):
            died, upload = False, None
            try:
                with dying_at(calls):
                    upload = Upload(tenant, 100_000)
                    upload.write(b"abc")
                    upload.keep("in", KEPT_S)
            except Killed:
                died = True
                if upload is not None:
                    os.close(upload._file)
            sweep(storage)
            there = [find_file(tenant, one.name) for one in tenant.files.iterdir()]

            assert [one.bytes for one in there] in ([], [3])
            assert tenant.bytes < 1000
        if not died:
            break
    assert calls > 4


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.data())
def test_what_was_cut_off_is_taken_away(failed: list[bool], data: st.DataObject) -> None:
    """A machine that fails leaves less of both files than was written, or zeros in its place: what
    is whole before that is kept, and the rest is computed again."""
    batch = "batch_" + "0" * 32
    with TemporaryDirectory() as name:
        paths = Path(name) / OUTPUT, Path(name) / ERRORS
        results = Results(*paths)
        for number, one in enumerate(failed, 1):
            results.add(answered(batch, number, "é\n", 400 if one else 200, "r", b'{"a":[1]}'))
        results.close()
        kept = []
        for path in paths:
            whole = path.read_bytes()
            at = data.draw(st.integers(0, len(whole)))
            lost = b"\0" * (len(whole) - at) if data.draw(st.booleans()) else b""
            path.write_bytes(whole[:at] + lost)
            kept += parsed(whole[: whole.rfind(b"\n", 0, at) + 1])
        again = Results(*paths)
        found = {*again.done}
        for number in {*range(1, len(failed) + 1)} - found:
            again.add(unanswered(batch, number, "x", "code", "message"))
        again.close()
        lines = [*parsed(paths[0].read_bytes()), *parsed(paths[1].read_bytes())]

        assert found == {int(one["id"].rpartition("_")[2]) for one in kept}
        assert len({one["id"] for one in lines}) == len(lines) == len(failed)
