"""Ranks that are threads of one process, by ordinary memory."""

import mmap

from raylax.worker.comm.shared_memory.communicator import CAPACITY, MemoryCommunicator
from raylax.worker.comm.shared_memory.layout import segment_bytes


def thread_group(
    world: int, timeout_s: float, capacity: int = CAPACITY
) -> list[MemoryCommunicator]:
    """A communicator for each rank, to be used by one thread each."""
    memory = mmap.mmap(-1, segment_bytes(world, capacity))  # aligned, and taken only where used
    return [MemoryCommunicator(memory, rank, world, timeout_s) for rank in range(world)]
