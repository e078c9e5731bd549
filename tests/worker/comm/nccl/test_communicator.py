"""NCCL as far as it goes without a GPU; with one, a group of one rank.

Skipped where the wheel is not installed: pip install 'raylax[cuda]'.
"""

from importlib.metadata import PackageNotFoundError, distribution

import numpy as np
import pytest

from raylax.kernels.cuda import driver
from raylax.worker.comm.errors import CommAborted, CommError
from raylax.worker.comm.nccl.communicator import NcclCommunicator, unique_id
from raylax.worker.comm.nccl.dlpack import memory_of
from raylax.worker.comm.nccl.library import (
    SINCE,
    TYPES,
    WHEEL,
    library,
    version,
)


def is_installed() -> bool:
    try:
        distribution(WHEEL)
    except PackageNotFoundError:
        return False
    return True


needs_nccl = pytest.mark.skipif(not is_installed(), reason=f"{WHEEL} is not installed")
without_gpu = pytest.mark.skipif(driver.library() is not None, reason="there is a GPU")
with_gpu = pytest.mark.skipif(driver.library() is None, reason="there is no GPU")


@pytest.mark.skipif(is_installed(), reason=f"{WHEEL} is installed")
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
        NcclCommunicator(unique_id(), 0, 1, 0, 0, 60.0)


@needs_nccl
@with_gpu
def test_a_rank_alone() -> None:
    """The sum of one, from the GPU and back; then the group is ended."""
    import tvm

    comm = NcclCommunicator(unique_id(), 0, 1, 0, 0, 60.0)
    array = tvm.runtime.tensor(np.arange(1000, dtype=np.float32), tvm.cuda(0))
    comm.allreduce(array)
    comm.allgather([array])
    comm.broadcast(array)
    comm.barrier()
    comm.abort("enough")

    assert np.array_equal(array.numpy(), np.arange(1000))
    with pytest.raises(CommAborted, match="enough"):
        comm.allreduce(array)


@pytest.mark.parametrize(
    ("dtype", "nccl"),
    [("int8", 0), ("uint8", 1), ("int32", 2), ("int64", 4), ("float16", 6), ("float32", 7)],
)
def test_a_tensor_is_found_by_dlpack(dtype: str, nccl: int) -> None:
    """Whoever's it is: where it is, how large, and NCCL's number for its type."""
    array = np.zeros((3, 5), dtype)[1:]
    found = memory_of(array)

    assert found.address == array.ctypes.data
    assert (found.count, found.nbytes) == (array.size, array.nbytes)
    assert TYPES[found.kind] == nccl
    assert found.device == (1, 0)


def test_tvms_tensors_are_found() -> None:
    import tvm_ffi

    array = np.zeros(64, np.float32)
    found = memory_of(tvm_ffi.from_dlpack(array))

    assert (found.address, found.count) == (array.ctypes.data, 64)


def test_a_tensor_with_gaps_is_refused() -> None:
    with pytest.raises(ValueError, match=r"contiguous tensors, found \[10, 2\]"):
        memory_of(np.zeros((5, 10), np.float32)[:, ::2])
