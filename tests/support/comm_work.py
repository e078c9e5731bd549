"""What ranks are told to do; see `comm_ranks.py`."""

import sys
import threading
from typing import Any

import numpy as np

from raylax.worker.comm.base import Array
from raylax.worker.comm.objects import allgather_object, broadcast_object
from raylax.worker.comm.shared_memory.communicator import MemoryCommunicator
from raylax.worker.comm.shared_memory.segment import SharedMemory
from raylax.worker.comm.tcp.acceptor import Listener
from raylax.worker.comm.tcp.communicator import TcpCommunicator
from tests.support.comm_ranks import Seat


def brought(rank: int, size: int, dtype: str) -> Array:
    """What a rank brings: numbers whose sum depends on the order, where they are floats."""
    numbers = np.random.default_rng([rank, size]).standard_normal(size) * 100
    return numbers.astype(dtype)


# Taking part


def take(seat: Seat, communicator: MemoryCommunicator) -> None:
    seat.comm = communicator


def attach(seat: Seat, address: str, size: int, rank: int, world: int, timeout_s: float) -> None:
    seat.memory = SharedMemory.attach(address, size)
    seat.comm = MemoryCommunicator(seat.memory.buffer, rank, world, timeout_s)


def listen(seat: Seat, host: str) -> str:
    seat.listener = Listener(host)
    return seat.listener.address


def lead(seat: Seat, world: int, secret: bytes, timeout_s: float, rendezvous_s: float) -> None:
    with seat.listener:
        seat.comm = TcpCommunicator.lead(seat.listener, world, secret, timeout_s, rendezvous_s)


def join(
    seat: Seat,
    leader: str,
    rank: int,
    world: int,
    secret: bytes,
    timeout_s: float,
    host: str,
    rendezvous_s: float,
) -> None:
    seat.comm = TcpCommunicator.join(leader, rank, world, secret, timeout_s, host, rendezvous_s)


def create(seat: Seat, size: int) -> str:
    """Memory of this rank's own, all of it used."""
    seat.memory = SharedMemory.create(size)
    seat.memory.buffer[:] = b"x" * size
    return seat.memory.address


def said_of_itself(seat: Seat) -> str:
    return repr(seat.comm)


def close(seat: Seat) -> None:
    seat.comm.close()
    if hasattr(seat, "memory"):
        seat.memory.close()


# Collectives


def allreduce(seat: Seat, size: int, dtype: str) -> Array:
    array = brought(seat.comm.rank, size, dtype)
    seat.comm.allreduce(array)
    return array


def allgather(seat: Seat, size: int, dtype: str) -> list[Array]:
    parts = [np.empty(size, dtype) for _ in range(seat.comm.world)]
    parts[seat.comm.rank][:] = brought(seat.comm.rank, size, dtype)
    seat.comm.allgather(parts)
    return parts


def broadcast(seat: Seat, size: int, dtype: str, root: int) -> Array:
    array = np.empty(size, dtype)
    if seat.comm.rank == root:
        array[:] = brought(root, size, dtype)
    seat.comm.broadcast(array, root)
    return array


def broadcast_and_close(seat: Seat, size: int, dtype: str) -> None:
    seat.comm.broadcast(brought(seat.comm.rank, size, dtype), seat.comm.rank)
    seat.comm.close()


def barrier(seat: Seat) -> None:
    seat.comm.barrier()


def pass_on(seat: Seat, sizes: list[int], dtype: str) -> list[Array]:
    """Each message goes from rank 0 to 1, from there to 2, and so on."""
    comm, passed = seat.comm, []
    for size in sizes:
        array = brought(0, size, dtype) if comm.rank == 0 else np.empty(size, dtype)
        if comm.rank > 0:
            comm.recv(array, comm.rank - 1)
        if comm.rank < comm.world - 1:
            comm.send(array, comm.rank + 1)
        passed.append(array)
    return passed


def many(seat: Seat, count: int) -> int:
    """Collectives of every kind, one right after the other; how many went wrong."""
    comm, wrong = seat.comm, 0
    rank, world = comm.rank, comm.world
    for turn in range(count):
        root = turn % world
        summed = np.full(1 + turn % 5, float(rank + turn))
        comm.allreduce(summed)
        wrong += bool((summed != world * turn + world * (world - 1) / 2).any())
        copied = np.array([rank * turn])
        comm.broadcast(copied, root)
        wrong += bool(copied[0] != root * turn)
        parts = [np.array([-1 if each != rank else rank + turn]) for each in range(world)]
        comm.allgather(parts)
        wrong += bool([int(part[0]) for part in parts] != [turn + each for each in range(world)])
    return wrong


def send(seat: Seat, array: Array, to: int) -> None:
    seat.comm.send(array, to)


def receive(seat: Seat, size: int, source: int) -> Array:
    array = np.empty(size, np.uint8)
    seat.comm.recv(array, source)
    return array


def told(seat: Seat, value: Any, root: int) -> Any:
    return broadcast_object(seat.comm, value, root)


def gathered(seat: Seat, value: Any) -> list[Any]:
    return allgather_object(seat.comm, value)


def gathered_lock(seat: Seat) -> list[Any]:
    """Rank 0 has something that cannot be pickled."""
    return allgather_object(seat.comm, threading.Lock() if seat.comm.rank == 0 else "fine")


def allreduce_every_second(seat: Seat) -> None:
    seat.comm.allreduce(np.zeros(4)[::2])


def send_to_itself(seat: Seat) -> None:
    seat.comm.send(np.zeros(1), seat.comm.rank)


# Asides


def abort(seat: Seat, reason: str) -> None:
    seat.comm.abort(reason)


def is_in(seat: Seat, function: str) -> bool:
    """Whether the rank's thread is in a function of that name."""
    frame = sys._current_frames().get(seat.thread)
    while frame is not None:
        if frame.f_code.co_name == function:
            return True
        frame = frame.f_back
    return False
