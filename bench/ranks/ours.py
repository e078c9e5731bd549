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
    """A GPU for each rank. Parts are gathered, and done when the GPU says so; who reads them adds
    them."""
    from raylax.worker.comm.nccl.group import unique_id

    name = unique_id()
    return Processes(lambda rank: Gathering(name, rank))


class Gathering:
    def __init__(self, name: bytes, rank: int) -> None:
        from raylax.kernels.cuda.device.stream import Stream
        from raylax.worker.comm.nccl.group import NcclGroup

        self._group = NcclGroup(rank, WORLD, rank, TIMEOUT_S)
        self._group.meet(name)
        self._stream = Stream(rank)

    def prepare(self, size: int) -> None:
        from raylax.kernels.cuda.device.memory import DeviceMemory

        self._size, self._parts = size, DeviceMemory(WORLD * size)

    def __call__(self) -> None:
        self._group.allgather(self._parts.address, self._size, self._stream.address)
        self._stream.wait()
