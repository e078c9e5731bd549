"""A Hugging Face directory: config.json, and safetensors files.

Everything is untrusted: each file is checked against its header, and each tensor against the
shape that the config asks for, before any weight is read.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.regular import regular_size
from raylax.kernels.checkpoints.safetensors import DTYPES, NAMES, Entry, read_header
from raylax.kernels.errors import CheckpointError
from raylax.kernels.families import spec_of, tensors_of
from raylax.kernels.spec import DecoderSpec

LARGEST_JSON = 128 << 20
"""Bytes; an index of a hundred thousand tensors takes a tenth of it."""
HARMLESS = (".rotary_emb.inv_freq", ".rotary_emb.cos_cached", ".rotary_emb.sin_cached",
            ".self_attn.bias", ".self_attn.masked_bias")  # fmt: skip
"""Ends of names that older files have, and that say nothing which the config does not."""


def read_json(path: Path) -> Any:
    """A file of the directory. Raises CheckpointError."""
    try:
        regular_size(path, LARGEST_JSON)
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent}: not a checkpoint, {path.name} is missing") from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not valid JSON: {error}") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None


class HuggingFaceCheckpoint:
    """A directory whose tensors were all found, whole and of the right shape."""

    def __init__(self, path: Path) -> None:
        """Raises CheckpointError for what is missing, damaged, or not known here."""
        self.path = path
        if not path.is_dir():
            raise CheckpointError(f"{path}: no such directory")
        self.config = read_json(path / "config.json")
        if not isinstance(self.config, dict):
            raise CheckpointError(f"{path}/config.json: must be a JSON object")
        self.spec: DecoderSpec = spec_of(self.config)
        self.dtype = str(self.config.get("dtype") or self.config.get("torch_dtype") or "float32")
        self.entries = self._find(dict(tensors_of(self.spec)))

    def _files(self) -> list[Path]:
        """The files of weights: one, or those of an index. One that is whole goes before an index
        of files that are not there."""
        index, whole = (self.path / f"model.safetensors{end}" for end in (".index.json", ""))
        if not index.exists():
            return [whole]
        table = read_json(index)
        names = table.get("weight_map") if isinstance(table, dict) else None
        files = sorted({str(name) for name in names.values()} if isinstance(names, dict) else ())
        if whole.exists() and not all((self.path / name).exists() for name in files):
            return [whole]
        outside = [name for name in files if Path(name).name != name]
        if outside or not files:
            raise CheckpointError(f"{index}: weight_map must name files beside it, found {outside}")
        return [self.path / name for name in files]

    def _find(self, expected: dict[str, tuple[int, ...]]) -> dict[str, Entry]:
        files = self._files()
        missing = [file.name for file in files if not file.exists()]
        if missing:
            raise CheckpointError(f"{self.path}: not a checkpoint, {missing[0]} is missing")
        found = {name: entry for file in files for name, entry in read_header(file).items()}
        for name, shape in expected.items():
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
        self._refuse_others([name for name in found if name not in expected])
        return {name: found[name] for name in expected}

    def _refuse_others(self, names: list[str]) -> None:
        """Raises CheckpointError for tensors that the config does not ask for: they are of another
        model."""
        tied = ("lm_head.weight",) if self.spec.tied_embeddings else ()
        if others := sorted(n for n in names if n not in tied and not n.endswith(HARMLESS)):
            more = f" and {len(others) - 1} more" if len(others) > 1 else ""
            raise CheckpointError(
                f"{self.path}: tensor {others[0]}{more} is not of the model that config.json "
                "describes: is it the config of these weights?"
            )

    def tensor(self, name: str) -> npt.NDArray[np.float32]:
        """A tensor that the spec asks for, in f32, exactly."""
        return self.entries[name].read()

    def bits(self, name: str, dtype: str) -> npt.NDArray[Any] | None:
        """The same as it lies there, if it is of this precision."""
        entry = self.entries[name]
        return entry.mapped() if entry.dtype == NAMES[dtype] else None

    @property
    def text(self) -> Path:
        """The directory itself."""
        return self.path

    @property
    def identity(self) -> str:
        """A digest of the files of weights: their names, sizes and times of modification."""
        facts = [str(self.path.resolve())]
        for file in sorted({entry.file for entry in self.entries.values()}):
            stat = file.stat()
            facts.append(f"{file.name} {stat.st_size} {stat.st_mtime_ns}")
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()
