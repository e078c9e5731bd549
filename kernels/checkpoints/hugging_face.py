"""A Hugging Face directory: config.json, and files of weights.

Everything is untrusted: each file is checked against its header, and each tensor against the
shape that the config asks for, before any weight is read.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from raylax.kernels.checkpoints.draft_vocabulary import MAPS, named_tokens
from raylax.kernels.checkpoints.experts import one_by_one
from raylax.kernels.checkpoints.json_files import read_json
from raylax.kernels.checkpoints.quantised.base import Composed, Part
from raylax.kernels.checkpoints.quantised.schemes import whole_weights
from raylax.kernels.checkpoints.safetensors import NAMES, read_header
from raylax.kernels.checkpoints.stored import StoredCheckpoint
from raylax.kernels.checkpoints.tensors import tensors_for
from raylax.kernels.checkpoints.text.directory import (
    BESIDE,
    TOKENIZER,
    is_whole,
    made_of,
    read_bytes,
    text_files,
)
from raylax.kernels.checkpoints.torch_files import read_torch_file
from raylax.kernels.errors import CheckpointError
from raylax.kernels.families import has_experts_together, spec_of, weights_of
from raylax.kernels.families.nested import nested_in, text_config, text_tensors
from raylax.kernels.spec import DecoderSpec
from raylax.kernels.store import Store

MODULES = "modules.json"
"""Of sentence-transformers."""
COPIED = (
    "config.json", "generation_config.json", "chat_template.jinja", "chat_template.json",
    "additional_chat_templates/*.jinja", MODULES, "1_Pooling/config.json",
)  # fmt: skip
"""What is said of text beside the tokenizer's own files."""
NAMED = ("model.safetensors", "pytorch_model.bin")
READERS: dict[str, Callable[[Path], Mapping[str, Part]]] = {
    ".safetensors": read_header,
    ".bin": read_torch_file,
    ".pt": read_torch_file,
}


def weight_files(directory: Path, named: Sequence[str] = NAMED) -> list[Path]:
    """The files of weights, by the first of these names that is there, whole or as an index of
    several. Raises CheckpointError where one is missing."""
    kinds = [(directory / name, directory / f"{name}.index.json") for name in named]
    there = (files for files in kinds if any(file.exists() for file in files))
    files = one_or_all(*next(there, kinds[0]))
    if missing := [file.name for file in files if not file.exists()]:
        raise CheckpointError(f"{directory}: not a checkpoint, {missing[0]} is missing")
    return files


def one_or_all(whole: Path, index: Path) -> list[Path]:
    """One file, or those of an index. One that is whole goes before an index of files that are
    not there."""
    if not index.exists():
        return [whole]
    table = read_json(index)
    names = table.get("weight_map") if isinstance(table, dict) else None
    files = sorted({str(name) for name in names.values()} if isinstance(names, dict) else ())
    if whole.exists() and not all((index.parent / name).exists() for name in files):
        return [whole]
    outside = [n for n in files if Path(n).name != n or Path(n).suffix not in READERS]
    if outside or not files:
        raise CheckpointError(f"{index}: weight_map must name files beside it, found {outside}")
    return [index.parent / name for name in files]


def tensors_in(files: Iterable[Path]) -> dict[str, Part]:
    """All tensors of some files. Raises CheckpointError."""
    found: dict[str, Part] = {}
    for file in files:
        found |= READERS[file.suffix](file)
    return found


def check_precisions(tensors: Mapping[str, Part | Composed]) -> None:
    """Raises CheckpointError for one that is no weight's."""
    for name, one in tensors.items():
        if one.precision not in NAMES:
            raise CheckpointError(
                f"{one.file}: tensor {name}: dtype {one.precision} is not supported, "
                "only " + ", ".join(NAMES)
            )


class HuggingFaceCheckpoint(StoredCheckpoint):
    """A directory whose tensors were all found, whole and of the right shape."""

    def __init__(self, path: Path, store: Path | None = None, weights: bool = True) -> None:
        """`store`: where texts are put that must be made. Raises CheckpointError for what is
        missing, damaged, or not known here."""
        self.path, self._store = path, Store(store)
        if not path.is_dir():
            raise CheckpointError(f"{path}: no such directory")
        self.config = read_json(path / "config.json")
        if not isinstance(self.config, dict):
            raise CheckpointError(f"{path}/config.json: must be a JSON object")
        self._nested = nested_in(self.config) is not None
        self.config = dict(text_config(self.config))
        self.spec: DecoderSpec = spec_of(self.config)
        self.dtype = str(self.config.get("dtype") or self.config.get("torch_dtype") or "float32")
        self._paths: list[Path] = []
        self.tensors: dict[str, Part | Composed] = self._find() if weights else {}

    def _find(self) -> dict[str, Part | Composed]:
        self._paths = weight_files(self.path)
        found = tensors_in(self._paths)
        if self._nested:
            found = text_tensors(found)
        if self.spec.embeds and not self.spec.classifies:
            self.tokens = named_tokens(self.path, found, self.spec.vocab, self.spec.embeds)
            found = {name: one for name, one in found.items() if name not in MAPS}
        if has_experts_together(self.spec):
            found = one_by_one(found, self.spec)
        whole = whole_weights(self.config, found, self.path)
        if self._is_headless(whole):
            self.spec = replace(self.spec, tied_embeddings=True, headless=True)
        chosen = tensors_for(self.spec, whole, self.path)
        check_precisions(chosen)
        return chosen

    def _is_headless(self, found: Mapping[str, Any]) -> bool:
        """Whether there is no head where sentence-transformers has a model of embeddings, whose
        config may be that of the model which it was made of."""
        if self.spec.tied_embeddings or not (self.path / MODULES).exists():
            return False
        return not any(name in found for name, _ in weights_of(self.spec)["w_head"].sources())

    @cached_property
    def text(self) -> Path:
        """The directory itself, or one of the store, where a tokenizer.json is made of the files
        that are there. Raises CheckpointError for those that are not known here."""
        whole = is_whole(self.path)
        if whole and not self._nested:
            return self.path
        names = (*COPIED, TOKENIZER, *BESIDE) if whole else COPIED
        copied = [file for name in names for file in sorted(self.path.glob(name))]

        def texts() -> dict[str, Any]:
            made = {} if whole else text_files(self.path, self.config.get("model_type"))
            own = {str(file.relative_to(self.path)): read_bytes(file) for file in copied}
            return own | made | ({"config.json": self.config} if self._nested else {})

        files = [*copied, *made_of(self.path), *(self.path / name for name in BESIDE)]
        return self.written(self._store, texts, (file for file in files if file.exists()))

    @property
    def files(self) -> list[Path]:
        """Of weights: a weight may be made of tensors of several."""
        return self._paths
