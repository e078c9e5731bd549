"""Files of tensors in the format https://github.com/huggingface/safetensors#format.

Untrusted: a file is checked against its header before any tensor of it is read.
"""

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.base import WHOLE
from raylax.kernels.checkpoints.regular import regular_size
from raylax.kernels.checkpoints.tensors import widened
from raylax.kernels.errors import CheckpointError

DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(np.uint16),
    "F8_E4M3": np.dtype(np.uint8),
    "F8_E8M0": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "U8": np.dtype(np.uint8),
    "I16": np.dtype(np.int16),
    "I32": np.dtype(np.int32),
    "I64": np.dtype(np.int64),
    "BOOL": np.dtype(np.bool_),
}
"""Of what numpy has not, the bits."""
NAMES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
"""Of precisions, in these files."""
LARGEST_HEADER = 100 << 20  # bytes: the limit of the safetensors format


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies, and as what."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def precision(self) -> str:
        """The name of its type, as elsewhere if it is one of a weight's."""
        return next((name for name, ours in NAMES.items() if ours == self.dtype), self.dtype)

    @property
    def form(self) -> str:
        """Plain numbers."""
        return self.precision

    def mapped(self) -> npt.NDArray[Any]:
        """The whole tensor as it lies in the file. Raises CheckpointError for a type that is not
        known."""
        if (dtype := DTYPES.get(self.dtype)) is None:
            raise CheckpointError(f"{self.file}: dtype {self.dtype} is none of {', '.join(DTYPES)}")
        raw: npt.NDArray[Any] = np.memmap(self.file, dtype, "r", self.start, (prod(self.shape),))
        return raw.reshape(self.shape)

    def bits(self, dtype: str) -> npt.NDArray[Any] | None:
        """The same, if it is of this precision."""
        return self.mapped() if self.dtype == NAMES[dtype] else None

    def read(self, rows: slice = WHOLE) -> npt.NDArray[np.float32]:
        """These rows in f32, exactly; nothing is kept."""
        return widened(self.mapped()[rows], self.precision)


def read_header(path: Path) -> dict[str, Entry]:
    """The tensors of a file by name. Raises CheckpointError for one that is not whole."""
    try:
        size = regular_size(path)
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, LARGEST_HEADER):
                raise CheckpointError(f"{path}: truncated: {size} bytes, header of {length}")
            table = json.loads(file.read(length))
        return {
            name: entry_of(path, name, value, 8 + length, size)
            for name, value in table.items()
            if name != "__metadata__"
        }
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, AttributeError, RecursionError):
        raise CheckpointError(f"{path}: the header is not valid") from None


def entry_of(path: Path, name: str, value: Any, base: int, size: int) -> Entry:
    """A tensor as its line in the header tells, checked. `base`: where the data begin; `size`: of
    the file. Raises CheckpointError."""
    try:
        dtype, shape, (start, end) = value["dtype"], tuple(value["shape"]), value["data_offsets"]
        numbers = (*shape, start, end)
        well_formed = isinstance(dtype, str) and all(type(n) is int and n >= 0 for n in numbers)
    except (KeyError, TypeError, ValueError):
        well_formed = False
    if not well_formed:
        raise CheckpointError(f"{path}: tensor {name}: the header is not valid")
    if base + end > size:
        raise CheckpointError(
            f"{path}: truncated: tensor {name} ends at byte {base + end}, the file has {size}"
        )
    if dtype in DTYPES and end - start != DTYPES[dtype].itemsize * prod(shape):
        raise CheckpointError(f"{path}: tensor {name}: {end - start} bytes do not make {shape}")
    return Entry(path, dtype, shape, base + start, base + end)
