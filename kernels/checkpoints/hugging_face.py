"""A Hugging Face directory: config.json, and files of weights.

Everything is untrusted: each file is checked against its header, and each tensor against the
shape that the config asks for, before any weight is read.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from raylax.kernels.checkpoints.json_files import read_json
from raylax.kernels.checkpoints.quantised.base import Composed, Part
from raylax.kernels.checkpoints.quantised.schemes import whole_weights
from raylax.kernels.checkpoints.safetensors import NAMES, read_header
from raylax.kernels.checkpoints.stored import StoredCheckpoint
from raylax.kernels.checkpoints.tensors import tensors_for
from raylax.kernels.checkpoints.torch_files import read_torch_file
from raylax.kernels.errors import CheckpointError
from raylax.kernels.families import spec_of
from raylax.kernels.spec import DecoderSpec

NAMED = ("model.safetensors", "pytorch_model.bin")
READERS: dict[str, Callable[[Path], Mapping[str, Part]]] = {
    ".safetensors": read_header,
    ".bin": read_torch_file,
}


class HuggingFaceCheckpoint(StoredCheckpoint):
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
        self.tensors: dict[str, Part | Composed] = self._find()

    def _files(self) -> list[Path]:
        """The files of weights: safetensors if there are any, else what torch has saved."""
        kinds = [(self.path / name, self.path / f"{name}.index.json") for name in NAMED]
        there = (files for files in kinds if any(file.exists() for file in files))
        return self._one_or_all(*next(there, kinds[0]))

    def _one_or_all(self, whole: Path, index: Path) -> list[Path]:
        """One file, or those of an index. One that is whole goes before an index of files that are
        not there."""
        if not index.exists():
            return [whole]
        table = read_json(index)
        names = table.get("weight_map") if isinstance(table, dict) else None
        files = sorted({str(name) for name in names.values()} if isinstance(names, dict) else ())
        if whole.exists() and not all((self.path / name).exists() for name in files):
            return [whole]
        outside = [n for n in files if Path(n).name != n or Path(n).suffix not in READERS]
        if outside or not files:
            raise CheckpointError(f"{index}: weight_map must name files beside it, found {outside}")
        return [self.path / name for name in files]

    def _find(self) -> dict[str, Part | Composed]:
        self._paths = files = self._files()
        missing = [file.name for file in files if not file.exists()]
        if missing:
            raise CheckpointError(f"{self.path}: not a checkpoint, {missing[0]} is missing")
        found: dict[str, Part] = {}
        for file in files:
            found |= READERS[file.suffix](file)
        whole = whole_weights(self.config, found, self.path)
        chosen = tensors_for(self.spec, whole, self.path)
        for name, entry in chosen.items():
            if entry.precision not in NAMES:
                raise CheckpointError(
                    f"{entry.file}: tensor {name}: dtype {entry.precision} is not supported, "
                    "only " + ", ".join(NAMES)
                )
        return chosen

    @property
    def text(self) -> Path:
        """The directory itself."""
        return self.path

    @property
    def files(self) -> list[Path]:
        """Of weights: a weight may be made of tensors of several."""
        return self._paths
