"""The group of all ranks, by shared memory on one host, else by TCP; and what is built on it."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from raylax.kernels.model import Seat
from raylax.worker.comm.base import Communicator
from raylax.worker.comm.shared_memory.communicator import MemoryCommunicator
from raylax.worker.comm.shared_memory.layout import segment_bytes
from raylax.worker.comm.shared_memory.segment import SharedMemory
from raylax.worker.comm.tcp.acceptor import Listener
from raylax.worker.comm.tcp.communicator import TcpCommunicator
from raylax.worker.ranks.rank import LEADER

CHUNK = 1 << 18
"""Bytes that go from rank to rank at once, in shared memory."""
GROUP_S = 120.0
"""For a rank that others wait for in Python: the time of a step's longest stage."""
PAGE = 4096
Bytes = npt.NDArray[np.uint8]


class Way(Protocol):
    """What the shards of a stage meet by inside the step."""

    @property
    def error(self) -> Exception | None:
        """What went wrong inside a step, which cannot raise it."""
        ...

    def meet(self) -> None:
        """Return when all are ready to run. To be called on all ranks once all have loaded, by the
        thread that runs steps. Raises CommError."""
        ...

    def end(self, reason: str) -> None:
        """Whoever waits inside a step is let go. From any thread, at any time."""
        ...


class Seating(Protocol):
    """Gives the ranks of an engine their seats."""

    world: int
    shared_bytes: int
    """Of memory that all ranks share if they are on one host, beside the group's."""

    def in_memory(self, group: Communicator, rank: int, memory: Bytes) -> tuple[Seat, Way]:
        """A rank's seat and way, on one host with all others."""
        ...

    def over_tcp(self, group: TcpCommunicator) -> tuple[Seat, Way]:
        """The same where ranks are on several hosts. Raises EngineStartError where they may not
        be."""
        ...


@dataclass(frozen=True)
class Interconnect:
    """One rank's ways to the others: the group of all ranks, its seat in its stage, and the way
    that this is on."""

    group: Communicator
    seat: Seat
    way: Way
    close: Callable[[], None]
    """To be called when the model is gone: it has views of the memory."""

    def end(self, reason: str) -> None:
        """Whoever waits for a rank, here or (as far as it can be reached) elsewhere, is let go."""
        self.way.end(reason)
        self.group.abort(reason)


def padded(size: int) -> int:
    """The size rounded up to whole pages of memory."""
    return -(-size // PAGE) * PAGE


def memory_bytes(seating: Seating) -> int:
    """Size of the memory that all ranks of an engine share when they are on one host."""
    return padded(segment_bytes(seating.world, CHUNK)) + seating.shared_bytes


def in_memory(memory: SharedMemory, seating: Seating, rank: int) -> Interconnect:
    """Interconnect of ranks on one host. The memory holds first the group's segment, then what the
    seating shares."""
    begin = padded(segment_bytes(seating.world, CHUNK))
    group = MemoryCommunicator(memoryview(memory.buffer)[:begin], rank, seating.world, GROUP_S)
    shared = np.frombuffer(memory.buffer, np.uint8, seating.shared_bytes, begin)
    seat, way = seating.in_memory(group, rank, shared)

    def close() -> None:
        group.close()
        memory.close()

    return Interconnect(group, seat, way, close)


def over_tcp(group: TcpCommunicator, seating: Seating) -> Interconnect:
    """Interconnect of ranks on several hosts."""
    return Interconnect(group, *seating.over_tcp(group), group.close)


InterconnectAddress = dict[str, Any]
"""How a rank reaches the others, as its leader tells it: the address of the memory that they share,
or where the leader listens, and the secret to be let in. It can be sent as JSON."""
Connect = Callable[[], Interconnect]


@contextmanager
def lead(seating: Seating, hosts: Sequence[str]) -> Iterator[tuple[InterconnectAddress, Connect]]:
    """The leader's side, for ranks on these hosts, its own first: the address to tell the others,
    and a function by which the leader connects once they know. What only serves to connect is gone
    when the context ends."""
    if len(set(hosts)) == 1:
        memory = SharedMemory.create(memory_bytes(seating))
        try:
            yield {"memory": memory.address}, lambda: in_memory(memory, seating, LEADER)
        finally:
            memory.withdraw()
        return
    secret = secrets.token_bytes(32)
    with Listener(hosts[0]) as listener:
        yield (
            {"leader": listener.address, "secret": secret.hex()},
            lambda: over_tcp(
                TcpCommunicator.lead(listener, seating.world, secret, GROUP_S), seating
            ),
        )


def join(address: InterconnectAddress, seating: Seating, rank: int, host: str) -> Interconnect:
    """The side of a rank that is not the leader; `host` is where it runs."""
    if "memory" in address:
        memory = SharedMemory.attach(address["memory"], memory_bytes(seating))
        return in_memory(memory, seating, rank)
    secret = bytes.fromhex(address["secret"])
    group = TcpCommunicator.join(address["leader"], rank, seating.world, secret, GROUP_S, host)
    return over_tcp(group, seating)
