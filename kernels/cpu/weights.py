"""A checkpoint's weights in the layout of the step: packed once into one file, then mapped.

Replicas on one host map the same file and share its pages; a restart maps instead of packing.
"""

import errno
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.base import Checkpoint
from raylax.kernels.cpu.packing import Piece, pieces, values
from raylax.kernels.cpu.program import Buffer, layout
from raylax.kernels.cpu.sizes import cpu_sizes
from raylax.kernels.families import weights_of
from raylax.kernels.parallel import in_threads
from raylax.kernels.store import check_room

if TYPE_CHECKING:
    from raylax.kernels.cpu.formats import Quantization

Array = npt.NDArray[Any]
STORED = ("weight", "layer")


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
    threads: int = 1,
) -> None:
    """Writes `weights.bin`, a few panels for each thread in memory at a time. Raises OSError where
    the disk has no room for it."""
    places, size = layout(table, *STORED)
    path = directory / "weights.bin"
    reserve(path, size)
    weights, layers = weights_of(cpu_sizes(ck.spec)).values(), ck.spec.layers
    every = list(pieces(weights, layers))
    left = total = sum(piece.weights for piece in every)

    def told(weights: int) -> None:
        nonlocal left
        left -= weights
        progress(1 - left / total)

    with path.open("r+b") as file:

        def work(piece: Piece) -> int:
            name = piece.weight.name
            write(file.fileno(), packed(piece, ck, q), places[name] + place(piece, table[name]))
            return piece.weights

        in_threads(work, every, threads, told)
        os.fdatasync(file.fileno())
    (directory / "offsets.json").write_text(json.dumps(places))


def packed(piece: Piece, ck: Checkpoint, q: "Quantization") -> Array:
    """What the step reads: vectors as they are, matrices in their format."""
    if not piece.weight.is_matrix:
        return values(piece, ck, None)
    fmt = q.formats[piece.weight.name]
    return fmt.pack(values(piece, ck, fmt))


def place(piece: Piece, buffer: Buffer) -> int:
    """The byte of a weight's buffer where a piece begins."""
    shape = buffer.shape[1:] if piece.weight.layered else buffer.shape
    size = np.dtype(buffer.dtype).itemsize
    inside = piece.panels.start * math.prod(shape[1:]) if piece.weight.is_matrix else 0
    return (piece.layer * math.prod(shape) + inside) * size


def write(file: int, array: Array, at: int) -> None:
    """All of an array from a byte of a file on. Raises OSError."""
    content = np.ascontiguousarray(array).data.cast("B")
    while content:
        done = os.pwrite(file, content, at)
        content, at = content[done:], at + done


def map_weights(directory: Path, table: dict[str, Buffer]) -> dict[str, Array]:
    """The stored tensors, mapped copy-on-write: nobody writes, so everybody shares."""
    places, _ = layout(table, *STORED)
    return {
        name: np.memmap(directory / "weights.bin", table[name].dtype, "c", at, table[name].shape)
        for name, at in places.items()
    }
