"""Parameters as they lie in the pieces of a package."""

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.base import WHOLE
from raylax.kernels.checkpoints.json_files import read_json
from raylax.kernels.checkpoints.regular import regular_size
from raylax.kernels.checkpoints.tensors import widened
from raylax.kernels.errors import CheckpointError

LISTS = ("tensor-cache.json", "ndarray-cache.json")
DTYPES: dict[str, np.dtype[Any]] = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(np.uint16),
    "uint32": np.dtype(np.uint32),
}
SHORTENED = "f32-to-bf16"
"""What is float32 when it is loaded lies there as bf16."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One of a package's."""

    file: Path
    precision: str
    """Of what lies there."""
    shape: tuple[int, ...]
    start: int

    @property
    def form(self) -> str:
        """Plain numbers."""
        return self.precision

    def mapped(self) -> npt.NDArray[Any]:
        """As it lies there; of bf16 the bits."""
        raw: npt.NDArray[Any] = np.memmap(
            self.file, DTYPES[self.precision], "r", self.start, (prod(self.shape),)
        )
        return raw.reshape(self.shape)

    def read(self, rows: slice = WHOLE) -> npt.NDArray[np.float32]:
        """These rows in f32, exactly."""
        return widened(self.mapped()[rows], self.precision)

    def of_expert(self, number: int) -> "Parameter":
        """One of those that it has of all experts."""
        one = self.part(number, 1)
        return Parameter(one.file, one.precision, one.shape[1:], one.start)

    def part(self, first: int, count: int) -> "Parameter":
        """Some of its rows."""
        row = prod(self.shape[1:]) * DTYPES[self.precision].itemsize
        start = self.start + first * row
        return Parameter(self.file, self.precision, (count, *self.shape[1:]), start)

    def bits(self, dtype: str) -> npt.NDArray[Any] | None:
        """As it lies there, if it is of this precision."""
        return self.mapped() if self.precision == dtype else None


def read_parameters(directory: Path) -> dict[str, Parameter]:
    """All of a package by name. Raises CheckpointError for one that does not lie where it is
    said to."""
    there = (directory / name for name in LISTS)
    index = next((file for file in there if file.exists()), None)
    if index is None:
        raise CheckpointError(f"{directory}: not a package of MLC, {LISTS[0]} is missing")
    listed = read_json(index)
    found: dict[str, Parameter] = {}
    try:
        for piece in listed["records"]:
            file = directory / piece["dataPath"]
            if file.parent != directory:
                raise CheckpointError(f"{index}: must name files beside it, found {file}")
            size = regular_size(file)
            for one in piece["records"]:
                found[str(one["name"])] = parameter_of(index, file, size, one)
    except FileNotFoundError as error:
        raise CheckpointError(f"{directory}: {Path(error.filename).name} is missing") from None
    except OSError as error:
        raise CheckpointError(f"{error.filename}: cannot be read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise CheckpointError(f"{index}: not a list of parameters") from None
    return found


def parameter_of(index: Path, file: Path, size: int, told: dict[str, Any]) -> Parameter:
    """As its record tells, checked. Raises CheckpointError."""
    dtype = "bfloat16" if told.get("format") == SHORTENED else str(told["dtype"])
    shape, start = tuple(told["shape"]), told["byteOffset"]
    if not all(type(one) is int and 0 <= one < 1 << 48 for one in (*shape, start)):
        raise CheckpointError(f"{index}: parameter {told['name']}: not a place")
    if dtype not in DTYPES:
        known = ", ".join(DTYPES)
        raise CheckpointError(f"{index}: parameter {told['name']}: {dtype} is none of {known}")
    end = start + prod(shape) * DTYPES[dtype].itemsize
    if end > size:
        raise CheckpointError(
            f"{file}: truncated: parameter {told['name']} ends at byte {end}, the file has {size}"
        )
    return Parameter(file, dtype, shape, start)
