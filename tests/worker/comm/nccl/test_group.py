"""GPUs that gather, on the fake driver: two processes with a GPU each, and a fake NCCL."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest

from raylax.kernels.cuda.device.memory import DeviceMemory, read, write
from raylax.kernels.cuda.device.stream import Stream
from raylax.worker.comm.errors import CommAborted, CommError, CommTimeout
from raylax.worker.comm.nccl.group import NcclGroup, unique_id
from tests.support.cuda_ranks import FakeRanks, group, on_fake_ranks, rank

SIZE = 2_500_000
"""Bytes of a part: of more than one piece, as the fake NCCL sends them."""
SOON_S = 0.5
"""For what must not wait; the deadlines are much longer."""


@pytest.fixture(scope="module")
def fake_ranks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeRanks]:
    directory = tmp_path_factory.mktemp("driver")
    yield from FakeRanks.with_code(directory, lambda: directory, 2)


class Parts:
    """Of each rank, on this one's device."""

    def __init__(self, size: int = SIZE) -> None:
        self.stream, self.size = Stream(0), size
        self._memory = DeviceMemory(2 * size)
        self.address = self._memory.address

    def put(self, value: int) -> None:
        """This rank's own part becomes this; the other's what is surely wrong."""
        whole = np.full((2, self.size), 255, np.uint8)
        whole[rank()] = value
        write(self.address, whole, self.stream.address)

    def found(self) -> list[list[int]]:
        """The values of each part."""
        whole = read(self.address, (2, self.size), np.uint8, self.stream.address)
        return [np.unique(part).tolist() for part in whole]

    def gather(self, by: NcclGroup) -> None:
        by.allgather(self.address, self.size, self.stream.address)


@cache
def parts() -> Parts:
    return Parts()


def within(seconds: float, act: Callable[[], object]) -> None:
    began = time.monotonic()
    act()
    assert time.monotonic() - began < seconds


@on_fake_ranks(2)
def test_each_rank_has_the_parts_of_all() -> object:
    here, gpus = parts(), group("gather", 2)
    here.put(10 + rank())
    here.gather(gpus)
    here.put(20 + rank())  # behind it on the stream
    first = here.found()
    here.gather(gpus)

    assert first[rank()] == [20 + rank()], "what was gathered is not what came later"
    assert here.found() == [[20], [21]]
    return here.found()


@on_fake_ranks(2)
def test_what_was_captured_gathers_what_is_there_when_it_is_replayed() -> object:
    here, gpus = parts(), group("graph", 2)
    graph = here.stream.capture(lambda: here.gather(gpus))
    found = []
    for value in (30, 40):
        here.put(value + rank())
        graph.replay(here.stream)
        found.append(here.found())

    assert found == [[[30], [31]], [[40], [41]]]
    return found


@on_fake_ranks(2)
def test_a_call_that_is_in_progress_is_waited_for() -> object:
    """As the first ones of a size are, while NCCL connects."""
    os.environ["RAYLAX_FAKE_NCCL_TARDY"] = "30"
    try:
        here, gpus = parts(), group("tardy", 2)
        here.put(50 + rank())
        began = time.monotonic()
        here.gather(gpus)
        took = time.monotonic() - began
    finally:
        del os.environ["RAYLAX_FAKE_NCCL_TARDY"]

    assert took >= 0.03
    assert here.found() == [[50], [51]]
    return None


@on_fake_ranks(2)
def test_who_waits_on_the_device_is_let_go_though_graphs_live() -> object:
    """Of a rank that never comes; NCCL's own end would wait for the graph."""
    here, gpus = parts(), group("abort", 2)
    graph = here.stream.capture(lambda: here.gather(gpus))
    if rank() == 0:
        graph.replay(here.stream)
        within(SOON_S, lambda: gpus.abort("rank 1 has died"))
        within(SOON_S, here.stream.wait)
    else:
        gpus.close()

    for refused in (gpus.check, lambda: here.gather(gpus)):
        with pytest.raises(CommAborted, match="rank 1 has died|closed"):
            refused()
    assert isinstance(gpus.error, CommAborted)
    del graph
    return None


@on_fake_ranks(2)
def test_ranks_that_do_not_gather_as_much_learn_it() -> object:
    """From the thread that watches: the device says nothing of it."""
    gpus, here = group("mismatch", 2), Parts(64 + 64 * rank())
    here.put(0)
    here.gather(gpus)
    here.stream.wait()
    until = time.monotonic() + 10
    while gpus.error is None and time.monotonic() < until:
        time.sleep(0.01)

    assert gpus.error is not None
    return str(gpus.error)


@on_fake_ranks(2)
def test_a_rank_that_does_not_come_is_not_waited_for_for_ever() -> object:
    if rank():
        return None
    alone = NcclGroup(0, 2, 0, 0.2)
    with pytest.raises(CommTimeout, match="have not come to the meeting of GPUs within 0.2 s"):
        alone.meet(unique_id())
    with pytest.raises(CommAborted):
        alone.check()
    return None


@on_fake_ranks(2)
def test_two_ranks_of_one_gpu_are_refused() -> object:
    """Here they are in one process, for which NCCL has no other words."""
    name = unique_id()

    def meet(one: int) -> str:
        with pytest.raises(CommError) as found:
            NcclGroup(one, 2, 0, 10.0).meet(name)
        return str(found.value)

    with ThreadPoolExecutor(2) as threads:
        said = list(threads.map(meet, range(2)))

    assert all("NCCL: invalid usage" in one for one in said)
    return None
