"""Our communicators as backends of `ray.util.collective`.

The ranks of a worker form one of Ray's collective groups: over shared memory on one host, over TCP
across hosts. They find each other through Ray's internal KV, which only processes of the cluster
can read: rank 0 writes there how to reach it, and takes that away when all have come.
There is no backend for NCCL: on GPUs, Ray passes tensors of torch and cupy only.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import reduce
from typing import Any

import numpy as np
import ray
from ray.experimental import internal_kv
from ray.util import collective
from ray.util.collective import types
from ray.util.collective.collective_group.base_collective_group import BaseGroup

from raylax.worker.comm.base import Array, Communicator
from raylax.worker.comm.deadline import Deadline
from raylax.worker.comm.errors import Unreachable
from raylax.worker.comm.shared_memory.communicator import CAPACITY, MemoryCommunicator
from raylax.worker.comm.shared_memory.layout import segment_bytes
from raylax.worker.comm.shared_memory.segment import SharedMemory
from raylax.worker.comm.tcp.acceptor import Listener
from raylax.worker.comm.tcp.communicator import TcpCommunicator

NAMESPACE = "raylax"
POLL_S = 0.01
TIMEOUT_S: ContextVar[float] = ContextVar("TIMEOUT_S", default=60.0)
"""Longest of every wait of the group that is being made: Ray has no argument for it."""
COMBINE: dict[types.ReduceOp, np.ufunc] = {
    types.ReduceOp.SUM: np.add,
    types.ReduceOp.PRODUCT: np.multiply,
    types.ReduceOp.MIN: np.minimum,
    types.ReduceOp.MAX: np.maximum,
}


class Group(BaseGroup):  # type: ignore[misc]  # Ray is untyped here
    """A backend of Ray's collectives, over the communicator that `lead` and `join` make.

    Ray passes a list of tensors, one for each GPU of a rank: ours have one.
    """

    name: str
    comm: Communicator

    def __init__(self, world_size: int, rank: int, group_name: str) -> None:
        super().__init__(world_size, rank, group_name)
        timeout_s = TIMEOUT_S.get()
        if rank == 0:
            with published(group_name) as publish:
                self.comm = self.lead(world_size, timeout_s, publish)
        else:
            self.comm = reach(
                group_name,
                lambda address: self.join(address, rank, world_size, timeout_s),
                Deadline.after(timeout_s),
            )

    @staticmethod
    def lead(world: int, timeout_s: float, publish: Callable[[str], None]) -> Communicator:
        """Rank 0's communicator, once all have come; `publish` lets them know the address."""
        raise NotImplementedError

    @staticmethod
    def join(address: str, rank: int, world: int, timeout_s: float) -> Communicator:
        """Another rank's communicator. Raises Unreachable when nobody is at the address any
        more."""
        raise NotImplementedError

    @classmethod
    def backend(cls) -> str:
        return cls.name

    @classmethod
    def check_backend_availability(cls) -> bool:
        return True

    def destroy_group(self) -> None:
        self.comm.close()

    def barrier(self, barrier_options: Any = None) -> None:
        self.comm.barrier()

    def allreduce(self, tensor: list[Array], allreduce_options: Any) -> None:
        (array,), how = tensor, allreduce_options.reduceOp
        if how == types.ReduceOp.SUM:
            self.comm.allreduce(array)
        else:
            parts = [np.empty_like(array) for _ in range(self.world_size)]
            self.allgather([parts], tensor)
            array[...] = reduce(COMBINE[how], parts)

    def reduce(self, tensor: list[Array], reduce_options: Any) -> None:
        result = tensor[0].copy()
        self.allreduce([result], reduce_options)
        if self.rank == reduce_options.root_rank:
            tensor[0][...] = result

    def reducescatter(
        self, tensor: list[Array], tensor_list: list[list[Array]], reducescatter_options: Any
    ) -> None:
        for root, part in enumerate(tensor_list[0]):
            result = part.copy()
            self.allreduce([result], reducescatter_options)
            if self.rank == root:
                tensor[0][...] = result

    def allgather(
        self, tensor_list: list[list[Array]], tensor: list[Array], allgather_options: Any = None
    ) -> None:
        tensor_list[0][self.rank][...] = tensor[0]
        self.comm.allgather(tensor_list[0])

    def broadcast(self, tensor: list[Array], broadcast_options: Any) -> None:
        self.comm.broadcast(tensor[0], broadcast_options.root_rank)

    def send(self, tensor: list[Array], send_options: Any) -> None:
        self.comm.send(tensor[0], send_options.dst_rank)

    def recv(self, tensor: list[Array], recv_options: Any) -> None:
        self.comm.recv(tensor[0], recv_options.src_rank)


class SharedMemoryGroup(Group):
    """Groups of ranks on one host, by shared memory."""

    name = "RAYLAX_SHM"

    @staticmethod
    def lead(world: int, timeout_s: float, publish: Callable[[str], None]) -> Communicator:
        with SharedMemory.create(segment_bytes(world, CAPACITY)) as memory:
            comm = MemoryCommunicator(memory.buffer, 0, world, timeout_s)
            publish(memory.address)
            comm.barrier()
        return comm  # which keeps the memory

    @staticmethod
    def join(address: str, rank: int, world: int, timeout_s: float) -> Communicator:
        with SharedMemory.attach(address, segment_bytes(world, CAPACITY)) as memory:
            comm = MemoryCommunicator(memory.buffer, rank, world, timeout_s)
            comm.barrier()
        return comm


class TcpGroup(Group):
    """Groups of ranks on any hosts, reached by TCP at the addresses that Ray knows their nodes
    by."""

    name = "RAYLAX_TCP"

    @staticmethod
    def lead(world: int, timeout_s: float, publish: Callable[[str], None]) -> Communicator:
        secret = secrets.token_hex()
        with Listener(ray.util.get_node_ip_address()) as listener:
            publish(json.dumps([listener.address, secret]))
            return TcpCommunicator.lead(listener, world, secret.encode(), timeout_s)

    @staticmethod
    def join(address: str, rank: int, world: int, timeout_s: float) -> Communicator:
        (leader, secret), host = json.loads(address), ray.util.get_node_ip_address()
        return TcpCommunicator.join(leader, rank, world, secret.encode(), timeout_s, host)


def register() -> None:
    """Let Ray know our backends, in every process that is to be a rank. Again does nothing."""
    for group in (SharedMemoryGroup, TcpGroup):
        if not collective.is_backend_available(group.name):
            collective.register_collective_backend(group.name, group)


class RayGroup:
    """A rank's end of one of Ray's collective groups, a `Gatherer`: by Ray's own functions, which
    others may use beside it under the group's name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rank: int = collective.get_rank(name)
        self.world: int = collective.get_collective_group_size(name)

    def allgather(self, parts: Sequence[Array]) -> None:
        collective.allgather(list(parts), parts[self.rank], self.name)

    def broadcast(self, array: Array, root: int = 0) -> None:
        collective.broadcast(array, root, self.name)

    def abort(self, reason: str) -> None:
        """As of a Communicator: any thread may call it."""
        collective.get_group_handle(self.name).comm.abort(reason)

    def close(self) -> None:
        collective.destroy_collective_group(self.name)


def join_group(world: int, rank: int, backend: str, group_name: str, timeout_s: float) -> RayGroup:
    """Make this actor a rank of a group; returns when all have come. A name serves one group at a
    time.

    Raises CommError, CommTimeout.
    """
    register()
    token = TIMEOUT_S.set(timeout_s)
    try:
        collective.init_collective_group(world, rank, backend, group_name)
    finally:
        TIMEOUT_S.reset(token)
    return RayGroup(group_name)


@contextmanager
def published(group: str) -> Iterator[Callable[[str], None]]:
    """A function that lets the other ranks know the address of a group, until the block ends."""

    def publish(address: str) -> None:
        internal_kv._internal_kv_put(group, address, namespace=NAMESPACE)

    try:
        yield publish
    finally:
        internal_kv._internal_kv_del(group, namespace=NAMESPACE)


def reach(group: str, join: Callable[[str], Communicator], deadline: Deadline) -> Communicator:
    """Join the group at the address that rank 0 has published. Raises CommTimeout.

    What is left of a group that was killed while it formed leads nowhere: then rank 0 of this one
    has not published anything yet.
    """
    doubt, stale = "", None
    while deadline.left_s:
        address = internal_kv._internal_kv_get(group, namespace=NAMESPACE)
        if address is not None and address != stale:
            try:
                return join(address.decode())
            except Unreachable as error:
                doubt, stale = f" ({error})", address
        time.sleep(POLL_S)
    raise deadline.missed_by([0], f"did not come to the group {group}{doubt}")
