"""What is changed on the disk is changed at once, by one at a time."""

import asyncio
import threading
from pathlib import Path

import pytest

from raylax.router.files.disk import Lease, aside, write_whole


def test_a_lease_has_one_holder(tmp_path: Path) -> None:
    """Until it is given back; one that was ended is there no more."""
    path = tmp_path / "lease"
    first = Lease.take(path, make=True)
    assert first is not None
    assert Lease.take(path) is None
    first.give_back()
    second = Lease.take(path)
    assert second is not None
    second.end()

    assert Lease.take(path) is None
    assert not path.exists()


async def test_who_is_cancelled_waits_for_what_it_has_begun() -> None:
    """So that nobody goes on while it is still being done."""
    may_end, done = threading.Event(), list[int]()

    def work() -> None:
        may_end.wait(60)
        done.append(1)

    task = asyncio.create_task(aside(work))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    waits = not task.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert waits and done == [1]


def test_a_file_is_as_before_or_as_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk fails in between."""
    path = tmp_path / "record"
    write_whole(path, b"before")
    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr("os.fsync", lambda file: (_ for _ in ()).throw(OSError(5, "failed")))
        write_whole(path, b"after")

    assert path.read_bytes() == b"before"
