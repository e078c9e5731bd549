"""NCCL itself as far as it goes without a GPU.

Skipped where the wheel is not installed: pip install 'raylax[cuda]'.
"""

import numpy as np
import pytest

from raylax.kernels.cuda import driver
from raylax.kernels.cuda.device.memory import DeviceMemory, read, write
from raylax.kernels.cuda.device.stream import Stream
from raylax.kernels.cuda.nvidia_library import loaded
from raylax.worker.comm.errors import CommAborted, CommError
from raylax.worker.comm.nccl.group import NcclGroup, unique_id
from raylax.worker.comm.nccl.library import FILE, NAME, SINCE, WHEEL, library, version


def is_here() -> bool:
    try:
        loaded(NAME, WHEEL, FILE)
    except OSError:
        return False
    return True


needs_nccl = pytest.mark.skipif(not is_here(), reason=f"{WHEEL} is not installed")
without_gpu = pytest.mark.skipif(driver.library() is not None, reason="there is a GPU")


@pytest.mark.skipif(is_here(), reason=f"{WHEEL} is installed")
def test_what_to_install_is_said() -> None:
    with pytest.raises(CommError, match=r"pip install 'raylax\[cuda\]'"):
        library()


@needs_nccl
def test_the_library_is_one_that_we_know() -> None:
    """Its configuration has had these beginnings since 2.17, and 3 may change everything."""
    assert SINCE <= version() < 30000


@needs_nccl
def test_each_group_has_a_name_of_its_own() -> None:
    assert len(unique_id()) == 128
    assert unique_id() != unique_id()


@needs_nccl
@without_gpu
def test_what_nccl_lacks_is_told_in_its_words() -> None:
    """It is asked to form a group, and wants a GPU."""
    with pytest.raises(CommError, match=r"NCCL: unhandled cuda error .*: Cuda failure '"):
        NcclGroup(0, 1, 0, 60.0).meet(unique_id())


@needs_nccl
@pytest.mark.skipif(driver.library() is None, reason="there is no GPU")
def test_a_rank_alone_gathers_in_a_graph() -> None:
    """On a GPU: what lies there is as it was, and the group ends while the graph lives."""
    group = NcclGroup(0, 1, 0, 60.0)
    group.meet(unique_id())
    stream, memory = Stream(0), DeviceMemory(4000)
    given = np.arange(1000, dtype=np.float32)
    write(memory.address, given, stream.address)
    group.allgather(memory.address, memory.size, stream.address)
    graph = stream.capture(lambda: group.allgather(memory.address, memory.size, stream.address))
    graph.replay(stream)

    assert np.array_equal(read(memory.address, (1000,), np.float32, stream.address), given)
    group.abort("enough")
    with pytest.raises(CommAborted, match="enough"):
        group.check()
