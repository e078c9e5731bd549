"""What checkpoints have in common whose tensors lie in files, whatever kind these are."""

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.base import WHOLE, Blocks
from raylax.kernels.checkpoints.groups import Groups, Kind
from raylax.kernels.checkpoints.tensors import InGroups, StoredTensor, identity_of
from raylax.kernels.store import Store, key_of, source_hash

Texts = Mapping[str, Any]
"""Contents of files, by name: bytes as they are, and anything else in JSON."""


class StoredCheckpoint:
    """A model whose tensors were all found, by Hugging Face's names."""

    path: Path
    tensors: Mapping[str, StoredTensor]
    tokens: npt.NDArray[np.int32] | None = None

    def tensor(self, name: str, rows: slice = WHOLE) -> npt.NDArray[np.float32]:
        """A tensor that the spec asks for, or some of its rows, in f32."""
        with np.errstate(all="ignore"):  # scales may be anything: who runs it looks at what comes
            return self.tensors[name].read(rows)

    def bits(self, name: str, dtype: str) -> npt.NDArray[Any] | None:
        """The same as it lies in its file, if it is of this precision."""
        return self.tensors[name].bits(dtype)

    def form(self, name: str) -> Kind | str:
        """How it lies in its file."""
        return self.tensors[name].form

    def groups(self, name: str, rows: slice = WHOLE) -> Groups:
        """Its rows in groups, as its form says."""
        tensor = self.tensors[name]
        assert isinstance(tensor, InGroups)
        return tensor.groups(rows)

    def blocks(self, name: str, rows: slice = WHOLE) -> Blocks | None:
        """Its rows in blocks of ggml's, which GGUF files alone have."""
        return None

    @cached_property
    def identity(self) -> str:
        """A digest of the files of weights."""
        return identity_of(self.path, self.files)

    @property
    def files(self) -> list[Path]:
        """Of weights."""
        return [one.file for one in self.tensors.values()]

    def written(self, store: Store, texts: Callable[[], Texts], files: Iterable[Path] = ()) -> Path:
        """The directory of the store in which this checkpoint's texts are, made once: as other
        checkpoints have them. `files`: what they are made of, beside `self.files`. Raises what
        `texts` raises."""

        def write(directory: Path) -> None:
            for name, content in texts().items():
                (directory / name).parent.mkdir(exist_ok=True)
                if isinstance(content, bytes):
                    (directory / name).write_bytes(content)
                else:
                    (directory / name).write_text(json.dumps(content))

        made_of = identity_of(self.path, files)
        facts = {"checkpoint": self.identity, "texts": made_of, "kernels": source_hash()}
        return store.get("text", key_of(facts), write)[0]
