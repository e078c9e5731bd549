"""Files that `torch.save` has written: a zip with a pickle of names, and the numbers beside it.

A pickle may call whatever it names, so nothing is run but what is listed here: which only notes
where a tensor lies. Neither torch nor any class of a model's is needed.
"""

import io
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
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

LARGEST_PICKLE = 64 << 20
"""Bytes: a name and a shape for each tensor take far less."""
MOST_DIMENSIONS = 8
LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Of a zip's entry, before its name and what else is told of it (APPNOTE.TXT, 4.3.7)."""
STORAGES = {
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "DoubleStorage": "float64",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
DTYPES = {name: np.dtype("uint16" if name == "bfloat16" else name) for name in STORAGES.values()}


@dataclass(frozen=True, slots=True)
class Storage:
    """Numbers of one type, in an entry of the zip."""

    dtype: str
    key: str
    count: int


@dataclass(frozen=True, slots=True)
class TorchTensor:
    """Where a tensor lies: in a file, from a byte on, each axis so many numbers apart."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    start: int

    @property
    def precision(self) -> str:
        """The name of its type."""
        return self.dtype

    @property
    def form(self) -> str:
        """Plain numbers."""
        return self.precision

    def mapped(self) -> npt.NDArray[Any]:
        """As it lies there."""
        dtype = DTYPES[self.dtype]
        spans = zip(self.shape, self.strides, strict=True)
        reach = 1 + sum((size - 1) * stride for size, stride in spans) if prod(self.shape) else 0
        raw: npt.NDArray[Any] = np.memmap(self.file, dtype, "r", self.start, (max(1, reach),))
        steps = tuple(stride * dtype.itemsize for stride in self.strides)
        return np.lib.stride_tricks.as_strided(raw, self.shape, steps, writeable=False)

    def read(self, rows: slice = WHOLE) -> npt.NDArray[np.float32]:
        """These rows in f32, exactly."""
        return widened(np.ascontiguousarray(self.mapped()[rows]), self.precision)

    def bits(self, dtype: str) -> npt.NDArray[Any] | None:
        """As it lies there, if it is of this precision."""
        return self.mapped() if self.dtype == dtype else None


def read_torch_file(path: Path) -> dict[str, TorchTensor]:
    """The tensors of a file by name. Raises CheckpointError for one that is damaged, or that names
    code."""
    try:
        regular_size(path)
        with zipfile.ZipFile(path) as archive:
            return tensors_in(path, archive)
    except zipfile.BadZipFile:
        raise CheckpointError(
            f"{path}: not a zip, as torch.save has written since 1.6: save it again, as safetensors"
        ) from None
    except (zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        # cut short, compressed in a way of its own, or with a password
        raise CheckpointError(f"{path}: an entry of the zip is damaged: {error}") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from None


def tensors_in(path: Path, archive: zipfile.ZipFile) -> dict[str, TorchTensor]:
    """Those of an archive. Raises CheckpointError."""
    entries = {info.filename: info for info in archive.infolist()}
    named = [name for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(named) != 1:
        raise CheckpointError(f"{path}: must have one data.pkl, found {len(named)}")
    root = named[0].removesuffix("data.pkl")
    if (size := entries[named[0]].file_size) > LARGEST_PICKLE:
        raise CheckpointError(f"{path}: data.pkl may have {LARGEST_PICKLE} bytes, found {size}")
    if archive_order(archive, f"{root}byteorder", entries) != "little":
        raise CheckpointError(f"{path}: its numbers have their highest byte first")
    reader = Reader(io.BytesIO(archive.read(named[0])))
    try:
        listed = reader.load()
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except Exception as error:  # a pickle can go wrong in any way
        raise CheckpointError(f"{path}: data.pkl is damaged: {type(error).__name__}") from None
    if isinstance(listed, dict) and isinstance(nested := listed.get("state_dict"), dict):
        listed = nested
    if not isinstance(listed, dict):
        raise CheckpointError(f"{path}: must be a table of tensors, found {type(listed).__name__}")
    return {
        str(name): placed(path, str(name), one, f"{root}data/", entries)
        for name, one in listed.items()
        if isinstance(one, Noted)
    }


def archive_order(archive: zipfile.ZipFile, name: str, entries: dict[str, zipfile.ZipInfo]) -> str:
    """Which byte of a number comes first; older files do not say."""
    return archive.read(name)[:16].decode("ascii", "replace") if name in entries else "little"


class Noted(tuple[Storage, int, tuple[int, ...], tuple[int, ...]]):
    """What a pickle says of a tensor: its storage, where it begins there, shape and strides."""

    __slots__ = ()


class Reader(pickle.Unpickler):
    """Knows a tensor's notes and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Raises CheckpointError for anything that would be run."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return note
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        raise CheckpointError(f"data.pkl wants to run {module}.{name}, which no weights need")

    def persistent_load(self, pid: Any) -> Storage:
        """Raises CheckpointError for what is no storage."""
        if (
            not isinstance(pid, tuple)
            or len(pid) != 5
            or pid[0] != "storage"
            or pid[1] not in DTYPES
            or not isinstance(pid[2], str)
            or type(pid[4]) is not int
        ):
            raise CheckpointError("data.pkl is damaged: a storage is none")
        return Storage(pid[1], pid[2], pid[4])


def note(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Noted:
    """In place of torch's function. Raises CheckpointError for what cannot be."""
    numbers = (offset, *shape, *strides) if isinstance(shape, tuple) else ()
    if (
        not isinstance(storage, Storage)
        or not numbers
        or len(shape) != len(strides)
        or len(shape) > MOST_DIMENSIONS
        or any(type(one) is not int or not 0 <= one < 1 << 48 for one in numbers)
    ):
        raise CheckpointError("data.pkl is damaged: a tensor is none")
    return Noted((storage, offset, shape, strides))


def placed(
    path: Path, name: str, noted: Noted, root: str, entries: dict[str, zipfile.ZipInfo]
) -> TorchTensor:
    """Where it lies in the file. Raises CheckpointError where that is beyond its storage."""
    storage, offset, shape, strides = noted
    if (entry := entries.get(root + storage.key)) is None:
        raise CheckpointError(f"{path}: tensor {name}: {root}{storage.key} is missing")
    if entry.compress_type != zipfile.ZIP_STORED:
        raise CheckpointError(f"{path}: tensor {name}: {entry.filename} is compressed")
    item = DTYPES[storage.dtype].itemsize
    reach = sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    most = entry.file_size // item
    if prod(shape) and max(offset + reach + 1, prod(shape)) > most:
        raise CheckpointError(f"{path}: tensor {name} reaches beyond its storage")
    start = content_of(path, entry)
    if start + entry.file_size > path.stat().st_size:
        raise CheckpointError(f"{path}: truncated: tensor {name} ends beyond the file")
    return TorchTensor(path, storage.dtype, shape, strides, start + offset * item)


def content_of(path: Path, entry: zipfile.ZipInfo) -> int:
    """The byte where an entry's content begins. Raises CheckpointError."""
    with path.open("rb") as file:
        file.seek(entry.header_offset)
        header = file.read(LOCAL_HEADER.size)
    if len(header) < LOCAL_HEADER.size or header[:4] != b"PK\x03\x04":
        raise CheckpointError(f"{path}: {entry.filename} is not where the zip says")
    _, name, more = LOCAL_HEADER.unpack(header)
    return int(entry.header_offset + LOCAL_HEADER.size + name + more)
