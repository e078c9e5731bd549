"""A checkpoint's weights in the layout of the step: packed once into one file, then mapped.

Replicas on one host map the same file and share its pages; a restart maps instead of packing.
"""

import errno
import json
import math
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.base import Checkpoint
from raylax.kernels.checkpoints.finite import not_finite
from raylax.kernels.cpu.packing import Piece, laid_out, pieces, values
from raylax.kernels.cpu.program import STORED, Buffer, layout
from raylax.kernels.cpu.sizes import cpu_sizes
from raylax.kernels.errors import CheckpointError, CompileError
from raylax.kernels.families import weights_of
from raylax.kernels.parallel import in_threads
from raylax.kernels.store import check_room

if TYPE_CHECKING:
    from raylax.kernels.cpu.formats import Quantization

Array = npt.NDArray[Any]
UNSYNCED = 128 << 20
"""Bytes that are written before the disk is waited for."""


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

    with path.open("r+b") as file, Syncing(file.fileno()) as syncing:

        def work(piece: Piece) -> tuple[int, int]:
            name, content = piece.weight.name, packed(piece, ck, q)
            write(file.fileno(), content, places[name] + place(piece, table[name]))
            return piece.weights, content.nbytes

        def told(done: tuple[int, int]) -> None:
            nonlocal left
            left -= done[0]
            progress(1 - left / total)
            syncing.written(done[1])

        in_threads(work, every, threads, told)
    (directory / "offsets.json").write_text(json.dumps(places))


class Syncing:
    """Brings a file to its disk while it is written: at its end little is left to wait for, and
    never much to throw away. Raises OSError."""

    def __init__(self, file: int) -> None:
        self._file, self._since = file, 0
        self._thread = ThreadPoolExecutor(1)
        self._under_way: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def written(self, size: int) -> None:
        """So many bytes more. Waits where the disk does not keep up."""
        self._since += size
        if self._since >= UNSYNCED:
            self._since = 0
            if self._under_way is not None:
                self._under_way.result()
            self._under_way = self._thread.submit(os.fdatasync, self._file)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._thread.shutdown()
        if kind is not None:
            return
        if self._under_way is not None:
            self._under_way.result()  # a failure is told once
        os.fdatasync(self._file)


def packed(piece: Piece, ck: Checkpoint, q: "Quantization") -> Array:
    """What the step reads: vectors as they are, matrices in their format. Raises CheckpointError
    for what is no number, CompileError for numbers that the format has not."""
    if not piece.weight.is_matrix:
        return laid_out(piece, ck.tensor)
    fmt = q.formats[piece.weight.name]
    try:
        return fmt.pack(values(piece, ck, fmt))
    except CompileError as error:
        names = [name for name, _ in piece.weight.sources(piece.layer)]
        if (wrong := next(not_finite(ck, names), None)) is not None:
            raise CheckpointError(wrong) from None
        layer, _ = piece.weight.place(piece.layer)
        where = f" of layer {layer}" if piece.weight.layered else ""
        raise CompileError(f"{piece.weight.name}{where}: {error}") from error


def place(piece: Piece, buffer: Buffer) -> int:
    """The byte of a weight's buffer where a piece begins."""
    shape = buffer.shape[1:] if piece.weight.layered else buffer.shape
    shape = shape[1:] if piece.weight.experts else shape
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
