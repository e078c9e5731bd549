"""Where shards on CPUs meet, inside the compiled step: in memory that they share, or by a call that
carries slices over TCP."""

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.cpu.artefacts import Artefacts
from raylax.kernels.cpu.program import LOGITS, Program
from raylax.kernels.memory import aligned_zeros
from raylax.kernels.model import Seat
from raylax.kernels.shards import PANEL, Degree
from raylax.worker.comm.base import Communicator
from raylax.worker.comm.tcp.communicator import TcpCommunicator
from raylax.worker.ranks.interconnect.base import Bytes, Way

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


@dataclass(frozen=True)
class CompiledWay:
    """Buffers of a stage, and whoever carries what others wrote there."""

    shared: dict[str, npt.NDArray[Any]]
    carrier: Carrier | None = None

    @property
    def error(self) -> Exception | None:
        """The carrier's."""
        return self.carrier.error if self.carrier else None

    def meet(self) -> None:
        """They meet in the first step."""

    def end(self, reason: str) -> None:
        """By a flag, which whoever waits looks at."""
        if (flags := self.shared.get("flags")) is not None:
            flags[-1, 0] = 1


class CompiledSeating:
    """A `Seating` of ranks on CPUs."""

    def __init__(self, artefacts: Artefacts) -> None:
        self._artefacts = artefacts
        self.world = self._degree.ranks
        self.shared_bytes = self._degree.pipeline * self._program.shared_bytes

    @property
    def _program(self) -> Program:
        return self._artefacts.program

    @property
    def _degree(self) -> Degree:
        return self._artefacts.options.degree

    def in_memory(self, group: Communicator, rank: int, memory: Bytes) -> tuple[Seat, Way]:
        """In the memory are the buffers of each stage."""
        size = self._program.shared_bytes
        first = rank // self._degree.tensor * size
        shared = self._program.shared_in(memory[first : first + size])
        return Seat(rank, shared), CompiledWay(shared)

    def over_tcp(self, group: TcpCommunicator) -> tuple[Seat, Way]:
        """Each rank has buffers of its own for its stage; what the others wrote is carried
        there."""
        degree, rank = self._degree, group.rank
        if degree.tensor == 1:
            return Seat(rank), CompiledWay({})
        first = rank - rank % degree.tensor
        stage = group.subset(range(first, first + degree.tensor))
        shared = self._program.shared_in(aligned_zeros((self._program.shared_bytes,), "uint8"))
        spec = self._artefacts.checkpoint.spec
        places = [degree.place(spec, shard) for shard in range(degree.tensor)]
        columns = [
            slice(place.first_panel * PANEL, (place.first_panel + place.panels) * PANEL)
            for place in places
        ]
        carrier = Carrier(stage, shared, columns)
        return Seat(rank, shared, carrier.address), CompiledWay(shared, carrier)
