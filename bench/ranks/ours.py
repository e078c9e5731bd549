"""Our own communicators."""

import secrets

import numpy as np

from ranks.base import TIMEOUT_S, Pair, Processes, Sum, Threads
from raylax.worker.comm.base import Communicator
from raylax.worker.comm.shared_memory.communicator import CAPACITY, MemoryCommunicator
from raylax.worker.comm.shared_memory.layout import segment_bytes
from raylax.worker.comm.shared_memory.segment import SharedMemory
from raylax.worker.comm.shared_memory.threads import thread_group
from raylax.worker.comm.tcp.acceptor import Listener
from raylax.worker.comm.tcp.communicator import TcpCommunicator

WORLD = 2


class OurSum:
    def __init__(self, comm: Communicator) -> None:
        self._comm = comm

    def prepare(self, size: int) -> None:
        self._array = np.zeros(size // 4, np.float32)

    def __call__(self) -> None:
        self._comm.allreduce(self._array)


def threads() -> Pair:
    group = thread_group(WORLD, TIMEOUT_S)
    return Threads(lambda rank: OurSum(group[rank]))


def shared() -> Pair:
    memory = SharedMemory.create(segment_bytes(WORLD, CAPACITY))
    return Processes(lambda rank: OurSum(MemoryCommunicator(memory.buffer, rank, WORLD, TIMEOUT_S)))


def tcp() -> Pair:
    listener, secret = Listener("127.0.0.1"), secrets.token_bytes()

    def make(rank: int) -> Sum:
        if rank == 0:
            return OurSum(TcpCommunicator.lead(listener, WORLD, secret, TIMEOUT_S))
        leader, host = listener.address, "127.0.0.1"
        return OurSum(TcpCommunicator.join(leader, rank, WORLD, secret, TIMEOUT_S, host))

    return Processes(make)


def nccl() -> Pair:
    """A GPU for each rank; a sum is done when the GPU says so."""
    from raylax.worker.comm.nccl.communicator import unique_id

    name = unique_id()
    return Processes(lambda rank: NcclSum(name, rank))


class NcclSum:
    def __init__(self, name: bytes, rank: int) -> None:
        import tvm

        from raylax.worker.comm.nccl.communicator import NcclCommunicator

        self._tvm, self._device = tvm, tvm.cuda(rank)
        self._comm = NcclCommunicator(name, rank, WORLD, rank, 0, TIMEOUT_S)

    def prepare(self, size: int) -> None:
        zeros = np.zeros(size // 4, np.float32)
        self._array = self._tvm.runtime.tensor(zeros, self._device)

    def __call__(self) -> None:
        self._comm.allreduce(self._array)
        self._comm.synchronize()
