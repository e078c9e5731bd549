"""A checkpoint's weights in the layout of the step: packed once into one file, then mapped.

Replicas on one host map the same file and share its pages; a restart maps instead of packing.
"""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.base import Checkpoint
from raylax.kernels.cpu.program import Buffer, layout
from raylax.kernels.families import weights_of
from raylax.kernels.families.weight_table import Floats, Weight
from raylax.kernels.shards import PANEL
from raylax.kernels.store import check_room

if TYPE_CHECKING:
    from raylax.kernels.cpu.formats import Quantization

Array = npt.NDArray[Any]
STORED = ("weight", "layer")


def padded(matrix: Floats) -> Floats:
    """A matrix with rows of zeros up to whole panels."""
    return np.pad(matrix, ((0, -len(matrix) % PANEL), (0, 0)))


def interleaved(gate_up: Floats) -> Floats:
    """Rows of gate and up by turns of 16: a panel then holds both halves of a gated unit."""
    turns = [part.reshape(-1, 1, 16, part.shape[1]) for part in np.split(gate_up, 2)]
    return np.concatenate(turns, 1).reshape(gate_up.shape)


def packed(weight: Weight, values: Floats, q: "Quantization") -> Array:
    """What the step reads: vectors as they are, matrices in their format."""
    if not weight.is_matrix:
        return values
    if weight.name == "w_gate_up":
        values = interleaved(values)
    return q.formats[weight.name].pack(padded(values))


def reserve(path: Path, size: int) -> None:
    """Makes a file of this size, with its place on the disk: whoever writes into a mapping for
    which there is none later is killed. Raises OSError, and nothing is left."""
    with path.open("wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            path.unlink()
            if error.errno == errno.ENOSPC:
                check_room(path.parent, size)
            raise OSError(error.errno, error.strerror, str(path)) from None


def pack(
    ck: Checkpoint,
    q: "Quantization",
    table: dict[str, Buffer],
    directory: Path,
    progress: Callable[[float], None],
) -> None:
    """Writes `weights.bin`, one layer in memory at a time. Raises OSError where the disk has no
    room for it."""
    places, size = layout(table, *STORED)
    path = directory / "weights.bin"
    reserve(path, size)

    def write(weight: Weight, layer: int = 0) -> None:
        shape, dtype = table[weight.name].shape, table[weight.name].dtype
        target = np.memmap(path, dtype, "r+", places[weight.name], shape)
        target[layer if weight.layered else ...] = packed(weight, weight.read(ck.tensor, layer), q)
        target.flush()

    weights = weights_of(ck.spec).values()
    for layer in range(ck.spec.layers):
        for weight in weights:
            if weight.layered:
                write(weight, layer)
        progress((layer + 1) / (ck.spec.layers + 1))
    for weight in weights:
        if not weight.layered:
            write(weight)
    (directory / "offsets.json").write_text(json.dumps(places))
    progress(1.0)


def map_weights(directory: Path, table: dict[str, Buffer]) -> dict[str, Array]:
    """The stored tensors, mapped copy-on-write: nobody writes, so everybody shares."""
    places, _ = layout(table, *STORED)
    return {
        name: np.memmap(directory / "weights.bin", table[name].dtype, "c", at, table[name].shape)
        for name, at in places.items()
    }
