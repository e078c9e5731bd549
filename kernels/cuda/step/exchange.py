"""Where the ranks that share a model's layers meet: parts of sums, and of logits, on its stream.

Each gives all others what it came to, and whoever reads adds the parts of all ranks upwards: so all
ranks have the same bits, whatever NCCL does, and none is added on the way.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from raylax.kernels.cuda.device.memory import copy_rows
from raylax.kernels.cuda.form import DeviceForm
from raylax.kernels.cuda.formats.shards import head_rows
from raylax.kernels.model import DeviceGroup

F32 = 4
Work = Callable[[], None]
"""Puts something on the stream; it can be captured."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One rank's part in it."""

    rank: int
    firsts: tuple[int, ...]
    """Of each rank, the first token of the vocabulary whose logits it computes."""
    group: DeviceGroup
    stream: int

    @classmethod
    def of(cls, form: DeviceForm, rank: int, group: DeviceGroup, stream: int) -> "Exchange":
        """Of a rank of a model."""
        places = [form.degree.place(form.spec, one) for one in range(form.ranks)]
        firsts = tuple(head_rows(form.spec, form.degree, place)[0] for place in places)
        return cls(rank, firsts, group, stream)

    @property
    def ranks(self) -> int:
        """How many there are."""
        return len(self.firsts)

    def own(self, address: int, size: int) -> int:
        """Where this rank's part lies, of parts of this size from an address on."""
        return address + self.rank * size

    def gather(self, address: int, size: int) -> Work:
        """The parts of all ranks, one after the other."""
        return partial(self.group.allgather, address, size, self.stream)

    def spread(self, parts: int, width: int, rows: int, logits: int, stride: int) -> list[Work]:
        """Gathered [ranks, rows, width] as columns of logits [rows, stride], float32."""
        size = rows * width * F32
        return [
            partial(
                copy_rows,
                *(logits + first * F32, stride * F32),
                *(parts + rank * size, width * F32, rows),
                self.stream,
            )
            for rank, first in enumerate(self.firsts)
        ]
