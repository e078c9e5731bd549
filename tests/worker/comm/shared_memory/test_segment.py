"""Memory without a name: who may attach, and that nothing is left of it."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from raylax.worker.comm.errors import CommError, Unreachable
from raylax.worker.comm.shared_memory.layout import segment_bytes
from raylax.worker.comm.shared_memory.segment import SharedMemory
from tests.support import comm_work as work
from tests.support.comm_ranks import ProcessRank, until

SIZE = 1 << 20


def test_who_attaches_sees_the_same_bytes() -> None:
    """Zeros at first."""
    with SharedMemory.create(SIZE) as ours, SharedMemory.attach(ours.address, SIZE) as theirs:
        assert theirs.buffer[:] == bytes(SIZE)

        ours.buffer[:5] = b"hello"
        theirs.buffer[-5:] = b"there"

        assert theirs.buffer[:5] == b"hello"
        assert ours.buffer[-5:] == b"there"


def test_it_has_no_name() -> None:
    before = os.listdir("/dev/shm")
    with SharedMemory.create(SIZE):
        assert os.listdir("/dev/shm") == before


def test_nobody_attaches_to_what_was_withdrawn() -> None:
    """Those who have attached keep it."""
    with SharedMemory.create(SIZE) as ours, SharedMemory.attach(ours.address, SIZE) as theirs:
        ours.buffer[0] = 7
        ours.withdraw()

        with pytest.raises(Unreachable, match=f"there is no shared memory at {ours.address}"):
            SharedMemory.attach(ours.address, SIZE)
        assert theirs.buffer[0] == 7


def test_the_number_of_a_descriptor_is_used_again() -> None:
    """By memory of the same size, of another group: an old address does not lead there."""
    with SharedMemory.create(SIZE) as old:
        old.withdraw()
        with SharedMemory.create(SIZE) as new:
            assert new.address.split(":")[:2] == old.address.split(":")[:2]

            with pytest.raises(Unreachable, match="is another file"):
                SharedMemory.attach(old.address, SIZE)


def test_memory_of_another_size() -> None:
    with (
        SharedMemory.create(SIZE) as ours,
        pytest.raises(CommError, match=f"has {SIZE} bytes, expected {2 * SIZE}"),
    ):
        SharedMemory.attach(ours.address, 2 * SIZE)


def test_arrays_outlive_it() -> None:
    """Whoever still has one can use it; the memory goes with the last."""
    memory = SharedMemory.create(SIZE)
    array = np.frombuffer(memory.buffer, np.int64)
    inode = inode_of(memory.address)
    array[3] = 42
    memory.close()
    memory.close()

    assert array[3] == 42
    assert inode in mapped()
    del array, memory
    assert inode not in mapped()


def test_nothing_is_left_of_ranks_that_were_killed() -> None:
    """No file, and no mapping, hence no memory: maker and user are gone without a word."""
    before = os.listdir("/dev/shm")
    size = segment_bytes(2, SIZE)
    maker, user = ProcessRank(), ProcessRank()
    try:
        maker.begin(work.create, size)
        address = maker.outcome()
        user.begin(work.attach, address, size, 0, 2, 60.0)
        user.outcome()
        inode = inode_of(address)
        assert inode in mapped()
        for rank in (maker, user):
            rank.signal(signal.SIGKILL)
    finally:
        maker.leave()
        user.leave()

    until(lambda: inode not in mapped())
    assert os.listdir("/dev/shm") == before
    with pytest.raises(Unreachable, match="there is no shared memory"):
        SharedMemory.attach(address, size)


def inode_of(address: str) -> int:
    pid, number, _ = address.split(":")
    return os.stat(f"/proc/{pid}/fd/{number}").st_ino


def mapped() -> set[int]:
    """Inodes of all such memory that any process has."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            lines = (process / "maps").read_text().splitlines()
        except OSError:
            continue  # it has just ended
        found |= {int(line.split()[4]) for line in lines if "/memfd:raylax-" in line}
    return found
