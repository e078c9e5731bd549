"""What a GGUF file says of itself: its metadata, and where each tensor lies."""

import mmap
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.regular import regular_size
from raylax.kernels.errors import CheckpointError
from raylax.kernels.memory import aligned_empty

MAGIC, VERSIONS = b"GGUF", (2, 3)
ALIGNMENT = 32
"""Of tensors, where the file says nothing else."""
MOST_DIMENSIONS = 4
STRING, ARRAY = 8, 9
NUMBERS: dict[int, np.dtype[Any]] = {
    kind: np.dtype(name)
    for kind, name in {
        0: "<u1", 1: "<i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "?",
        10: "<u8", 11: "<i8", 12: "<f8",
    }.items()
}  # fmt: skip
"""Types of metadata that have one size, by their number."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor lies, and as what."""

    kind: int
    """Its type, as ggml counts them."""
    shape: tuple[int, ...]
    """In numpy's order: rows first."""
    start: int
    """Byte of the file."""


@dataclass(frozen=True, slots=True)
class Header:
    """Of one file."""

    path: Path
    size: int
    """Bytes of the file."""
    metadata: dict[str, Any]
    """Numbers, texts, lists of texts, and arrays of numbers."""
    tensors: dict[str, Place]


class Cursor:
    """Reads a file from its beginning, and never beyond its end."""

    def __init__(self, path: Path, content: mmap.mmap) -> None:
        self.at, self._path, self._content = 0, path, content

    def damaged(self, why: str) -> CheckpointError:
        """The error for what cannot be true."""
        return CheckpointError(f"{self._path}: not a whole GGUF file: {why}")

    def take(self, size: int, what: str) -> bytes:
        """So many bytes. Raises CheckpointError where there are fewer."""
        if size > (left := len(self._content) - self.at):
            raise self.damaged(f"{what} of {size} bytes at byte {self.at}, where {left} are left")
        self.at += size
        return self._content[self.at - size : self.at]

    def number(self, form: str, what: str) -> int:
        """A whole number, as `struct` writes its form."""
        value: int = struct.unpack(form, self.take(struct.calcsize(form), what))[0]
        return value

    def count(self, what: str, least: int) -> int:
        """Of things that have `least` bytes each: as many as can be there."""
        value = self.number("<Q", what)
        if value * least > (left := len(self._content) - self.at):
            raise self.damaged(f"{value} {what}, where {left} bytes are left")
        return value

    def text(self, what: str) -> str:
        """Raises CheckpointError for what is no UTF-8."""
        content = self.take(self.count(f"bytes of {what}", 1), what)
        try:
            return content.decode()
        except UnicodeDecodeError:
            raise self.damaged(f"{what} {content[:40]!r} is not UTF-8") from None

    def value(self, what: str) -> Any:
        """A value of the metadata, whose type stands before it."""
        kind = self.number("<I", f"the type of {what}")
        if kind != ARRAY:
            return self._one(kind, what)
        kind = self.number("<I", f"the type of {what}")
        if (dtype := NUMBERS.get(kind)) is not None:
            count = self.count(f"numbers of {what}", dtype.itemsize)
            return np.frombuffer(self.take(count * dtype.itemsize, what), dtype)
        if kind == STRING:
            return [self.text(what) for _ in range(self.count(f"texts of {what}", 8))]
        raise self.damaged(f"{what} is a list of type {kind}")

    def _one(self, kind: int, what: str) -> Any:
        if kind == STRING:
            return self.text(what)
        if (dtype := NUMBERS.get(kind)) is None:
            raise self.damaged(f"{what} is of type {kind}")
        return np.frombuffer(self.take(dtype.itemsize, what), dtype)[0].item()


def read_header(path: Path, bytes_of: Callable[[int, tuple[int, ...]], int]) -> Header:
    """The header of a file. `bytes_of`: of a tensor of a type and shape, ValueError where there are
    none such. Raises CheckpointError for a file that is not whole.

    Those of the last few files are kept: one is opened often, and a vocabulary takes a while.
    """
    try:
        size = regular_size(path)
        return read_once(path, size, path.stat().st_mtime_ns, bytes_of)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None


@lru_cache(maxsize=8)
def read_once(
    path: Path, size: int, _: int, bytes_of: Callable[[int, tuple[int, ...]], int]
) -> Header:
    """Of a file of this size and time. Raises CheckpointError, OSError."""
    if size < 24:
        raise CheckpointError(f"{path}: not a whole GGUF file: it has {size} bytes")
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        return parsed(path, Cursor(path, content), size, bytes_of)


def parsed(
    path: Path, cursor: Cursor, size: int, bytes_of: Callable[[int, tuple[int, ...]], int]
) -> Header:
    """From a cursor at the beginning. Raises CheckpointError."""
    if (magic := cursor.take(4, "its name")) != MAGIC:
        raise cursor.damaged(f"it begins with {magic!r}")
    if (version := cursor.number("<I", "its version")) not in VERSIONS:
        raise cursor.damaged(f"it is of version {version}, and {VERSIONS} are known")
    tensors, values = cursor.count("tensors", 24), cursor.number("<Q", "values")
    if values * 13 > size:
        raise cursor.damaged(f"{values} values, where it has {size} bytes")
    metadata = {}
    for _ in range(values):
        key = cursor.text("a key")
        metadata[key] = cursor.value(key)
    alignment = metadata.get("general.alignment", ALIGNMENT)
    if type(alignment) is not int or not 0 < alignment <= 1 << 20 or alignment % 8:
        raise cursor.damaged(f"general.alignment must be a multiple of 8, found {alignment!r}")
    found = {}
    for _ in range(tensors):
        name = cursor.text("a tensor's name")
        if name in found:
            raise cursor.damaged(f"tensor {name} is there twice")
        found[name] = place_of(cursor, name)
    start = -(-cursor.at // alignment) * alignment
    for name, place in found.items():
        check_place(cursor, name, place, start, size, bytes_of)
    moved = {n: Place(p.kind, p.shape, p.start + start) for n, p in found.items()}
    return Header(path, size, metadata, moved)


def place_of(cursor: Cursor, name: str) -> Place:
    """The line of one tensor; its place is counted from the first one's."""
    dimensions = cursor.number("<I", f"dimensions of {name}")
    if not 1 <= dimensions <= MOST_DIMENSIONS:
        raise cursor.damaged(f"tensor {name} has {dimensions} dimensions")
    shape = [cursor.number("<Q", f"the shape of {name}") for _ in range(dimensions)]
    kind = cursor.number("<I", f"the type of {name}")
    return Place(kind, tuple(reversed(shape)), cursor.number("<Q", f"the place of {name}"))


def check_place(
    cursor: Cursor,
    name: str,
    place: Place,
    start: int,
    size: int,
    bytes_of: Callable[[int, tuple[int, ...]], int],
) -> None:
    """Raises CheckpointError for a tensor that does not lie in the file."""
    try:
        own = bytes_of(place.kind, place.shape)
    except ValueError as error:
        raise cursor.damaged(f"tensor {name}: {error}") from None
    if start + place.start + own > size:
        raise cursor.damaged(
            f"tensor {name} ends at byte {start + place.start + own}, the file has {size}"
        )


def mapped(path: Path, place: Place, size: int) -> npt.NDArray[np.uint8]:
    """The bytes of a tensor, which stay in the file until they are read."""
    content: npt.NDArray[np.uint8] = np.memmap(path, np.uint8, "r", place.start, (size,))
    return content


def read_bytes(path: Path, start: int, size: int) -> npt.NDArray[np.uint8]:
    """Bytes of a file, in memory of their own: a large file that is read once need not be mapped.
    Raises CheckpointError for a file that has become shorter, OSError."""
    out = aligned_empty((size,), "uint8")
    with path.open("rb", buffering=0) as file:
        at = 0
        while at < size:
            if not (done := os.preadv(file.fileno(), [out[at:].data], start + at)):
                raise CheckpointError(f"{path}: ends at byte {start + at}, and was longer before")
            at += done
    return out
