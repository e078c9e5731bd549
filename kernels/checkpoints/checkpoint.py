"""A Hugging Face checkpoint directory: its config, and its tensors one at a time.

Everything is untrusted: each file is checked against its header, and each tensor against the
shape that the config asks for, before any weight is read.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.bf16 import from_bf16
from raylax.kernels.errors import CheckpointError
from raylax.kernels.families import spec_of, weights_of
from raylax.kernels.spec import DecoderSpec

DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(np.uint16),
}
LARGEST_HEADER = 100 << 20  # the limit of the safetensors format


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent}: not a checkpoint, {path.name} is missing") from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not valid JSON: {error}") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None


def read_header(path: Path) -> dict[str, Entry]:
    """The table of a safetensors file; see https://github.com/huggingface/safetensors#format."""
    try:
        size = path.stat().st_size
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
    try:
        dtype, shape, (start, end) = value["dtype"], tuple(value["shape"]), value["data_offsets"]
        well_formed = all(isinstance(n, int) and n >= 0 for n in (*shape, start, end))
    except (KeyError, TypeError, ValueError):
        well_formed = False
    if not well_formed:
        raise CheckpointError(f"{path}: tensor {name}: the header is not valid")
    if base + end > size:
        raise CheckpointError(
            f"{path}: truncated: tensor {name} ends at byte {base + end}, the file has {size}"
        )
    if dtype in DTYPES and end - start != DTYPES[dtype].itemsize * int(np.prod(shape)):
        raise CheckpointError(f"{path}: tensor {name}: {end - start} bytes do not make {shape}")
    return Entry(path, dtype, shape, base + start, base + end)


def expected_of(spec: DecoderSpec) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every tensor that the checkpoint of such a model must hold, with its shape."""
    for weight in weights_of(spec).values():
        for layer in range(spec.layers if weight.layered else 1):
            yield from weight.sources(layer)


class Checkpoint:
    """A directory whose tensors were all found, whole and of the right shape."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_dir():
            raise CheckpointError(f"{path}: no such directory")
        config = read_json(path / "config.json")
        if not isinstance(config, dict):
            raise CheckpointError(f"{path}/config.json: must be a JSON object")
        self.spec: DecoderSpec = spec_of(config)
        self.dtype = str(config.get("dtype") or config.get("torch_dtype") or "float32")
        self.entries = self._find(expected_of(self.spec))

    def _files(self) -> list[Path]:
        index = self.path / "model.safetensors.index.json"
        if not index.exists():
            return [self.path / "model.safetensors"]
        table = read_json(index)
        names = table.get("weight_map", {}).values() if isinstance(table, dict) else ()
        files = sorted({str(name) for name in names})
        outside = [name for name in files if Path(name).name != name]
        if outside or not files:
            raise CheckpointError(f"{index}: weight_map must name files beside it, found {outside}")
        return [self.path / name for name in files]

    def _find(self, expected: Iterable[tuple[str, tuple[int, ...]]]) -> dict[str, Entry]:
        files = self._files()
        missing = [file.name for file in files if not file.exists()]
        if missing:
            raise CheckpointError(f"{self.path}: not a checkpoint, {missing[0]} is missing")
        found = {name: entry for file in files for name, entry in read_header(file).items()}
        for name, shape in expected:
            entry = found.get(name)
            if entry is None:
                raise CheckpointError(f"{self.path}: tensor {name} of shape {shape} is missing")
            if entry.shape != shape:
                raise CheckpointError(
                    f"{entry.file}: tensor {name}: expected shape {shape}, found {entry.shape}"
                )
            if entry.dtype not in DTYPES:
                raise CheckpointError(
                    f"{entry.file}: tensor {name}: dtype {entry.dtype} is not supported, "
                    "only " + ", ".join(DTYPES)
                )
        return found

    def tensor(self, name: str) -> npt.NDArray[np.float32]:
        """The whole tensor in f32, exactly; the file is mapped, nothing is kept."""
        entry = self.entries[name]
        count = int(np.prod(entry.shape))
        raw: npt.NDArray[Any] = np.memmap(
            entry.file, DTYPES[entry.dtype], "r", entry.start, (count,)
        )
        values = from_bf16(raw) if entry.dtype == "BF16" else raw.astype(np.float32)
        return values.reshape(entry.shape)

    @property
    def identity(self) -> str:
        """Changes when a weight file is replaced: names, sizes and times of modification."""
        facts = [str(self.path.resolve())]
        for file in sorted({entry.file for entry in self.entries.values()}):
            stat = file.stat()
            facts.append(f"{file.name} {stat.st_size} {stat.st_mtime_ns}")
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()
