"""What was compiled, as far as running it goes: buffers, functions, and the names of its artefacts.

It is kept in the store. So a process that finds all artefacts there needs no compiler, which would
cost it 150 MB of memory and a second to import.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from raylax.kernels.errors import CompileError
from raylax.kernels.options import PAGE_SIZE

MOST_ELEMENTS = 2**31 - 1  # of what the kernels index by int32
MOST_PAGES = MOST_ELEMENTS // PAGE_SIZE  # a slot is an int32
ALL_KEYS = 1 << 30  # a window that no sequence fills
LINE = 16  # int32 in a cache line: counters of different workers share none
MEETINGS = 2  # of the shards of a stage, in a layer
BEHIND_MEETINGS = ("add_o", "add_down", "argmax")
"""Operators that shards come to by a meeting, and which begin by that."""
SLICES, LOGITS = 0, 1  # what the call of `raylax.kernels.cpu.tir.exchange` is to carry


@dataclass(frozen=True)
class Buffer:
    """One argument of the compiled functions."""

    shape: tuple[int, ...]
    dtype: str
    kind: str
    """weight, layer (a weight with a leading layer), table, input, work, state or shared (among
    the shards of a stage)."""
    free: tuple[int, ...] = ()
    """Axes that follow the capacity: the compiled code takes any size there."""

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.elements * np.dtype(self.dtype).itemsize


def is_large(name: str, buffer: Buffer) -> bool:
    """Whether the kernels index it by int64: what grows with the model, or with the memory."""
    return buffer.kind in ("weight", "layer", "state") or name in ("partials", "logits")


@dataclass(frozen=True)
class StepFunction:
    """One of the functions that make a step, in variants that differ in speed only."""

    arguments: tuple[str, ...]
    variants: tuple[tuple[int, str], ...]
    """(the most rows that it is for, name) of each, by rising rows."""
    tile_rows: int
    """Rows that are computed together where there are many."""
    operators: tuple[str, ...]
    ends: str
    """The buffer that tells when each operator of each layer ended."""

    def variant_for(self, rows: int) -> str:
        """The name of the variant that suits so many rows."""
        return next(name for most, name in self.variants if rows <= most)


@dataclass(frozen=True)
class Program:
    """A compiled step, without the code."""

    quantization: str
    kv_dtype: str
    sequence_length: int
    """Tokens of the longest sequence."""
    table: dict[str, Buffer]
    """Every argument by name; `pages` has one page."""
    functions: dict[str, StepFunction]
    """`layers` and `head`, and of a draft head `features`."""
    library_key: str
    made_for: str
    """What the library is for, for people."""
    weights_key: str
    lacking: str
    """Why it cannot run on the machine that drew it; empty if it can."""

    def with_pages(self, count: int) -> Self:
        """The same with so many pages. Raises CompileError for a tensor that the kernels cannot
        index."""
        one = self.table["pages"]
        shape = (one.shape[0], count, *one.shape[2:])
        table = {**self.table, "pages": replace(one, shape=shape)}
        if count > MOST_PAGES:
            raise CompileError(f"there may be {MOST_PAGES} pages, found {count}")
        for name, buffer in table.items():
            if buffer.elements > MOST_ELEMENTS and not is_large(name, buffer):
                raise CompileError(
                    f"{name} has {buffer.elements} elements, the limit is {MOST_ELEMENTS}"
                )
        return replace(self, table=table)

    @property
    def shared_bytes(self) -> int:
        """Bytes of the memory that the shards of a stage share."""
        return layout(self.table, "shared")[1]

    def shared_in(self, memory: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
        """The shared buffers, in memory of `shared_bytes` that begins with zeros."""
        places, _ = layout(self.table, "shared")
        return {
            name: memory[at : at + self.table[name].bytes]
            .view(self.table[name].dtype)
            .reshape(self.table[name].shape)
            for name, at in places.items()
        }

    def bytes_of(self, *kinds: str) -> int:
        """Bytes of all buffers of these kinds, with the pages that there are."""
        return sum(buffer.bytes for buffer in self.table.values() if buffer.kind in kinds)

    def write(self, path: Path) -> None:
        """As JSON, for `read`."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Self:
        facts: dict[str, Any] = json.loads(path.read_text())
        table = {name: Buffer(**as_tuples(one)) for name, one in facts.pop("table").items()}
        functions = {
            name: StepFunction(**as_tuples(one)) for name, one in facts.pop("functions").items()
        }
        return cls(**facts, table=table, functions=functions)


STORED = ("weight", "layer")
"""Kinds of buffers that are packed once."""
ALIGNMENT = 4096  # of each buffer in a file or in shared memory: a page


def layout(table: dict[str, Buffer], *kinds: str) -> tuple[dict[str, int], int]:
    """Where each buffer of these kinds begins when they lie in one piece, and its size in bytes."""
    places, end = {}, 0
    for name, buffer in table.items():
        if buffer.kind in kinds:
            places[name] = end
            end += -(-buffer.bytes // ALIGNMENT) * ALIGNMENT
    return places, end


def as_tuples(facts: dict[str, Any]) -> dict[str, Any]:
    """With a tuple wherever there is a list: JSON knows lists only."""

    def of(value: Any) -> Any:
        return tuple(map(of, value)) if isinstance(value, list) else value

    return {name: of(value) for name, value in facts.items()}


def seconds_by_operator(names: Sequence[str], ends: npt.NDArray[np.int64]) -> dict[str, float]:
    """What each operator of a launch took, summed over the layers, from when its regions ended."""
    names = [*names] * (len(ends) // len(names))
    times, before = dict.fromkeys(names, 0.0), int(ends[-1])
    for name, end in zip(names, ends[:-1].tolist(), strict=True):
        if end:  # not every step has every operator
            times[name] += (end - before) * 1e-9
            before = end
    return {name: time for name, time in times.items() if time}


def seconds_of(wanted: Iterable[str], names: Sequence[str], ends: npt.NDArray[np.int64]) -> float:
    """What these operators of a launch took together: `seconds_by_operator` takes some microseconds
    for each layer."""
    came = np.maximum.accumulate(np.concatenate((ends[-1:], ends[:-1])))
    took = np.diff(came).reshape(-1, len(names))
    at = [names.index(name) for name in wanted if name in names]
    return float(took[:, at].sum()) * 1e-9
