"""A model in a GGUF file, or in the parts of one that was split."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.base import WHOLE, Blocks
from raylax.kernels.checkpoints.gguf.blocks import (
    PLAIN,
    block_bytes,
    bytes_of,
    decoded,
    kind_of,
)
from raylax.kernels.checkpoints.gguf.config import architecture_of, config_of
from raylax.kernels.checkpoints.gguf.groups import TYPES
from raylax.kernels.checkpoints.gguf.header import Place, mapped, read_bytes, read_header
from raylax.kernels.checkpoints.gguf.labels import HEAD, Difference, labels_in
from raylax.kernels.checkpoints.gguf.names import (
    CORRECTION,
    EXPERTS_BIAS,
    FACTORS,
    MLP_BIAS,
    OUTPUT,
    OUTPUT_BIAS,
    QUERY_BIASES,
    QUERY_NORM,
    ROTATED,
    halves,
    hugging_face_names,
)
from raylax.kernels.checkpoints.gguf.tokenizer import text_files
from raylax.kernels.checkpoints.groups import Groups, Kind
from raylax.kernels.checkpoints.stored import StoredCheckpoint
from raylax.kernels.checkpoints.tensors import tensors_for
from raylax.kernels.errors import CheckpointError
from raylax.kernels.families import as_in_gguf, spec_of, stands_beside, weights_of
from raylax.kernels.spec import DecoderSpec
from raylax.kernels.store import Store

Array = npt.NDArray[Any]
PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf$")
PRECISIONS = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
BITS = {"float16": "F16", "bfloat16": "BF16"}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One of a file's."""

    file: Path
    place: Place
    head_dim: int = 0
    """Of queries and keys whose neighbours are rotated; 0 of all others."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows first."""
        return self.place.shape

    @property
    def kind(self) -> str:
        """As ggml calls it."""
        return str(kind_of(self.place.kind).name)

    def _bytes(self) -> npt.NDArray[np.uint8]:
        return mapped(self.file, self.place, bytes_of(self.place.kind, self.shape))

    def read(self, rows: slice = WHOLE) -> npt.NDArray[np.float32]:
        """These rows in f32, exactly."""
        if len(self.shape) == 1:
            whole = decoded(self._bytes(), self.place.kind, self.shape[0])[0]
            return (halves(whole, self.head_dim) if self.head_dim else whole)[rows]
        content, own = self._heads(rows)
        return self._moved(decoded(content, self.place.kind, self.shape[-1]), own)

    def _heads(self, rows: slice) -> tuple[npt.NDArray[np.uint8], slice]:
        """Bytes of the heads that have these rows, or of the rows alone; and which of its rows."""
        first, end, _ = rows.indices(self.shape[0])
        heads = self.head_dim or 1
        begin = first // heads * heads
        stop = max(begin, -(-end // heads) * heads)
        size = bytes_of(self.place.kind, self.shape[1:])
        content = read_bytes(self.file, self.place.start + begin * size, (stop - begin) * size)
        return content.reshape(-1, size), slice(first - begin, end - begin)

    def _moved(self, heads: Array, own: slice) -> Array:
        """Rows of whole heads where they belong, and then these of them."""
        return (halves(heads, self.head_dim) if self.head_dim else heads)[own]

    @property
    def form(self) -> Kind | str:
        """In groups, or as plain numbers, or as ggml calls it."""
        if self.kind in TYPES and len(self.shape) == 2:
            return TYPES[self.kind].kind
        return PRECISIONS.get(self.kind, self.kind)

    def groups(self, rows: slice = WHOLE) -> Groups:
        """These rows of a matrix in groups."""
        blocks = self.blocks(rows)
        assert blocks is not None
        return TYPES[self.kind].groups(blocks.one_by_one)

    def blocks(self, rows: slice = WHOLE) -> Blocks | None:
        """These rows of a matrix."""
        if len(self.shape) == 1 or self.kind in PLAIN:
            return None
        content = self._moved(*self._heads(rows))
        return Blocks(self.kind, block_bytes(self.place.kind), content)

    def bits(self, dtype: str) -> npt.NDArray[Any] | None:
        """As it lies there, if it is of this precision and its rows are where they belong."""
        if self.head_dim or self.kind != BITS[dtype]:
            return None
        return self._bytes().view(PLAIN[self.kind]).reshape(self.shape)


def each(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """It, or each of the matrices, or biases of experts, that lie in one tensor."""
    place = tensor.place
    if name.endswith(CORRECTION) and place.shape[:-1] == (1,):
        yield name, replace(tensor, place=replace(place, shape=place.shape[1:]))
        return
    if len(place.shape) != (2 if name.endswith(EXPERTS_BIAS) else 3):
        yield name, tensor
        return
    count, *shape = place.shape
    size = bytes_of(place.kind, tuple(shape))
    for number in range(count):
        own = replace(place, shape=tuple(shape), start=place.start + number * size)
        yield f"{name}.{number}", replace(tensor, place=own)


Stored = Tensor | Difference


class GgufCheckpoint(StoredCheckpoint):
    """A file whose tensors were all found, whole and of the right shape."""

    def __init__(self, path: Path, store: Path | None = None) -> None:
        """`path`: the file, or any part of it. `store`: where its texts are put. Raises
        CheckpointError for what is missing, damaged, or not known here."""
        self.path, self._store = path, Store(store)
        headers = [read_header(part, bytes_of) for part in parts_of(path)]
        self.metadata = headers[0].metadata
        found: dict[str, Stored] = {
            name: tensor
            for header in headers
            for of, place in header.tensors.items()
            for name, tensor in each(of, Tensor(header.path, place))
        }
        factors = {name: found.pop(name).read() for name in FACTORS if name in found}
        self.config = config_of(self.metadata, path, OUTPUT not in found, factors)
        for key in ("attention_bias", "use_qkv_bias", "use_bias"):
            self.config[key] = any(name in found for name in QUERY_BIASES)
        self.config["attention_out_bias"] = OUTPUT_BIAS in found
        self.config["mlp_bias"] = MLP_BIAS in found
        self.config["use_qk_norm"] = QUERY_NORM in found
        self.config |= labels_in(self.metadata, self.config["architectures"][0], found, path)
        if HEAD in found and len(self.config["id2label"]) < found[HEAD].shape[0]:
            found[HEAD] = Difference(found[HEAD])
        self.spec: DecoderSpec = as_in_gguf(spec_of(self.config))
        names = dict(hugging_face_names(self.spec))
        named = {
            names.get(name, name): tensor
            for name, tensor in found.items()
            if not stands_beside(self.spec, name.replace("blk.", "model.layers.", 1))
        }
        if architecture_of(self.metadata, path).permuted:
            named = {name: self._permuted(name, tensor) for name, tensor in named.items()}
        self.tensors: dict[str, Stored] = tensors_for(self.spec, named, path)
        self.dtype = PRECISIONS.get(self._matrix.kind, "bfloat16")
        self.config["torch_dtype"] = self.dtype

    @property
    def _matrix(self) -> Stored:
        """One of those that most of the file is."""
        table = weights_of(self.spec)
        name, _ = next(table["w_down" if "w_down" in table else "w_experts_down"].sources())
        return self.tensors[name]

    def _permuted(self, name: str, tensor: Stored) -> Stored:
        if isinstance(tensor, Tensor) and any(part in name for part in ROTATED):
            return Tensor(tensor.file, tensor.place, self.spec.head_dim)
        return tensor

    def blocks(self, name: str, rows: slice = WHOLE) -> Blocks | None:
        """Rows of a matrix in blocks, if it lies in such."""
        return self.tensors[name].blocks(rows)

    @cached_property
    def text(self) -> Path:
        """A directory of the store, in which the file's texts are. Raises CheckpointError for a
        tokenizer that is not known here."""
        return self.written(self._store, lambda: text_files(self.metadata, self.config, self.path))


def parts_of(path: Path) -> list[Path]:
    """The files that a model was split into, in order; the file alone if it was not. Raises
    CheckpointError for one that is missing."""
    if (named := PART.match(path.name)) is None:
        return [path]
    base, _, count = named.groups()
    parts = [path.with_name(f"{base}-{i + 1:05}-of-{count}.gguf") for i in range(int(count))]
    if missing := [part.name for part in parts if not part.exists()]:
        raise CheckpointError(
            f"{path}: is one of {int(count)} files of a model, and {missing[0]} is missing"
        )
    return parts
