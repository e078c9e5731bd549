"""Where shards on GPUs meet: NCCL, on the step's stream and in its graphs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from raylax.kernels.cuda import driver
from raylax.kernels.model import Seat
from raylax.kernels.options import ModelOptions
from raylax.worker.comm.base import Communicator
from raylax.worker.comm.errors import CommError
from raylax.worker.comm.nccl.group import NcclGroup, unique_id
from raylax.worker.comm.objects import allgather_object
from raylax.worker.comm.tcp.communicator import TcpCommunicator
from raylax.worker.errors import EngineStartError
from raylax.worker.ranks.interconnect.base import Bytes, Way
from raylax.worker.ranks.rank import LEADER

MEET_S = 60.0
"""For NCCL to find how GPUs reach each other, once all ranks have loaded."""


@dataclass(frozen=True)
class GpuWay:
    """A group of NCCL's, of which all ranks learn by the group that they have already."""

    gpus: NcclGroup
    group: Communicator
    device: int

    @property
    def error(self) -> Exception | None:
        """Why NCCL's group has ended, which the GPU does not say."""
        return self.gpus.error

    def meet(self) -> None:
        """All ranks learn the name of NCCL's group, and whether their GPUs are alike. Raises
        CommError."""
        name = unique_id() if self.gpus.rank == LEADER else b""
        told = allgather_object(self.group, (name, chip_of(self.device)))
        check_alike([chip for _, chip in told])
        self.gpus.meet(told[LEADER][0])

    def end(self, reason: str) -> None:
        """Who waits on a GPU is let go."""
        self.gpus.abort(reason)


class GpuSeating:
    """A `Seating` of ranks with a GPU each: a stage is all of them."""

    shared_bytes = 0

    def __init__(self, options: ModelOptions) -> None:
        self.world, self._device = options.degree.ranks, driver.index_of(options.device)

    def over_tcp(self, group: TcpCommunicator) -> tuple[Seat, Way]:
        """Raises EngineStartError: what goes between machines is sealed, but by NCCL it is not."""
        raise EngineStartError(
            "ranks on GPUs must be on one host, for NCCL seals nothing between machines: ask for "
            "placement: host, or for fewer tensor_parallel_shards"
        )

    def in_memory(self, group: Communicator, rank: int, memory: Bytes) -> tuple[Seat, Way]:
        """The memory is the group's alone."""
        gpus = NcclGroup(group.rank, self.world, self._device, MEET_S)
        return Seat(group.rank, group=gpus), GpuWay(gpus, group, self._device)


class Chip(NamedTuple):
    """What steps depend on: their machine code, and how their work is divided."""

    capability: tuple[int, int]
    multiprocessors: int

    def __str__(self) -> str:
        major, minor = self.capability
        return f"compute capability {major}.{minor} with {self.multiprocessors} multiprocessors"


def chip_of(device: int) -> Chip:
    """A GPU's. Raises CompileError when there is no such GPU."""
    return Chip(driver.properties(device).capability, driver.multiprocessors(device))


def check_alike(chips: Sequence[Chip]) -> None:
    """Raises CommError for ranks that would launch other steps than the first: they would wait for
    each other for ever."""
    for rank, chip in enumerate(chips):
        if chip != chips[LEADER]:
            raise CommError(
                f"ranks of one model need GPUs of one kind: rank {LEADER} has {chips[LEADER]}, "
                f"rank {rank} has {chip}"
            )
