"""How the ranks of one engine reach each other: by shared memory on one host, else by TCP.

A rank has two ways to others. The group of all ranks carries what Python says: pieces of a step
from stage to stage, debug calls. The shards of its stage meet inside the compiled step: in memory
that they share, or by a call that carries slices over TCP.
"""

import ctypes
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.cpu.artefacts import Artefacts
from raylax.kernels.cpu.program import ALIGNMENT, LOGITS, Program
from raylax.kernels.memory import aligned_zeros
from raylax.kernels.model import Seat
from raylax.kernels.shards import PANEL, Degree
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


@dataclass(frozen=True)
class Interconnect:
    """One rank's ways to the others: the group of all ranks, and its seat in its stage."""

    group: Communicator
    seat: Seat
    close: Callable[[], None]
    """To be called when the model is gone: it has views of the memory."""
    carrier: "Carrier | None" = None

    @property
    def error(self) -> Exception | None:
        """What went wrong inside the compiled step, which cannot raise."""
        return self.carrier.error if self.carrier else None

    def end(self, reason: str) -> None:
        """Whoever waits for a rank, here or (as far as it can be reached) elsewhere, is let go."""
        if (flags := self.seat.shared.get("flags")) is not None:
            flags[-1, 0] = 1
        self.group.abort(reason)


def padded(size: int) -> int:
    """The size rounded up to whole pages of memory."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def memory_bytes(program: Program, degree: Degree) -> int:
    """Size of the memory that all ranks of an engine share when they are on one host."""
    stages = degree.pipeline * program.shared_bytes
    return padded(segment_bytes(degree.ranks, CHUNK)) + stages


def in_memory(memory: SharedMemory, program: Program, degree: Degree, rank: int) -> Interconnect:
    """Interconnect of ranks on one host. The memory holds first the group's segment, then the
    buffers of each stage."""
    begin = padded(segment_bytes(degree.ranks, CHUNK))
    group = MemoryCommunicator(memoryview(memory.buffer)[:begin], rank, degree.ranks, GROUP_S)
    begin += rank // degree.tensor * program.shared_bytes
    stage = np.frombuffer(memory.buffer, np.uint8, program.shared_bytes, begin)

    def close() -> None:
        group.close()
        memory.close()

    return Interconnect(group, Seat(rank, program.shared_in(stage)), close)


CALL = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int64, ctypes.c_int, ctypes.c_int)


class Carrier:
    """Carries slices and logits among the shards of a stage that share no memory."""

    def __init__(
        self, stage: Communicator, shared: dict[str, npt.NDArray[Any]], panels: list[slice]
    ) -> None:
        """`stage`: the group of its shards, numbered as they are; `panels`: for each of them the
        columns of the logits that it computes."""
        self._stage, self._shared, self._panels = stage, shared, panels
        self.error: Exception | None = None
        self._function = CALL(self._call)  # alive as long as we are

    @property
    def address(self) -> int:
        return ctypes.cast(self._function, ctypes.c_void_p).value or 0

    def _call(self, meeting: int, kind: int, rows: int) -> int:
        """Called by the compiled step, on the thread that runs it."""
        flags = self._shared["flags"]
        try:
            if kind == LOGITS:
                self._carry_logits(rows)
            else:
                slices = self._shared["slices"][meeting & 1]
                self._stage.allgather([one[:rows] for one in slices])
            flags[:-1, 0] = meeting
        except Exception as error:
            self.error = error
            flags[-1, 0] = 1
        return 0

    def _carry_logits(self, rows: int) -> None:
        """Bring the columns of all shards to the first one, which samples."""
        logits = self._shared["logits"][:rows]
        if self._stage.rank:
            self._stage.send(np.ascontiguousarray(logits[:, self._panels[self._stage.rank]]), 0)
            return
        for shard in range(1, self._stage.world):
            columns = np.empty_like(logits[:, self._panels[shard]])
            self._stage.recv(columns, shard)
            logits[:, self._panels[shard]] = columns


def over_tcp(group: TcpCommunicator, artefacts: Artefacts) -> Interconnect:
    """Interconnect of ranks on several hosts. Each rank has buffers of its own for its stage; what
    the others wrote is carried there."""
    program, degree, rank = artefacts.program, artefacts.options.degree, group.rank
    if degree.tensor == 1:
        return Interconnect(group, Seat(rank), group.close)
    first = rank - rank % degree.tensor
    stage = group.subset(range(first, first + degree.tensor))
    shared = program.shared_in(aligned_zeros((program.shared_bytes,), "uint8"))
    places = [degree.place(artefacts.checkpoint.spec, shard) for shard in range(degree.tensor)]
    columns = [
        slice(place.first_panel * PANEL, (place.first_panel + place.panels) * PANEL)
        for place in places
    ]
    carrier = Carrier(stage, shared, columns)
    return Interconnect(group, Seat(rank, shared, carrier.address), group.close, carrier)


InterconnectAddress = dict[str, Any]
"""How a rank reaches the others, as its leader tells it: the address of the memory that they share,
or where the leader listens, and the secret to be let in. It can be sent as JSON."""
Connect = Callable[[], Interconnect]


@contextmanager
def lead(
    artefacts: Artefacts, hosts: Sequence[str]
) -> Iterator[tuple[InterconnectAddress, Connect]]:
    """The leader's side, for ranks on these hosts, its own first: the address to tell the others,
    and a function by which the leader connects once they know. What only serves to connect is gone
    when the context ends."""
    program, degree = artefacts.program, artefacts.options.degree
    if len(set(hosts)) == 1:
        memory = SharedMemory.create(memory_bytes(program, degree))
        try:
            yield {"memory": memory.address}, lambda: in_memory(memory, program, degree, LEADER)
        finally:
            memory.withdraw()
        return
    secret = secrets.token_bytes(32)
    with Listener(hosts[0]) as listener:
        yield (
            {"leader": listener.address, "secret": secret.hex()},
            lambda: over_tcp(
                TcpCommunicator.lead(listener, degree.ranks, secret, GROUP_S), artefacts
            ),
        )


def join(address: InterconnectAddress, artefacts: Artefacts, rank: int, host: str) -> Interconnect:
    """The side of a rank that is not the leader; `host` is where it runs."""
    program, degree = artefacts.program, artefacts.options.degree
    if "memory" in address:
        memory = SharedMemory.attach(address["memory"], memory_bytes(program, degree))
        return in_memory(memory, program, degree, rank)
    secret = bytes.fromhex(address["secret"])
    group = TcpCommunicator.join(address["leader"], rank, degree.ranks, secret, GROUP_S, host)
    return over_tcp(group, artefacts)
