"""Tensors as they lie in files, and whether they are those of a model."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from raylax.kernels.bf16 import from_bf16
from raylax.kernels.checkpoints.base import WHOLE
from raylax.kernels.checkpoints.groups import Groups, Kind
from raylax.kernels.errors import CheckpointError
from raylax.kernels.families import stands_beside, tensors_of
from raylax.kernels.spec import DecoderSpec

HARMLESS = (".rotary_emb.inv_freq", ".rotary_emb.cos_cached", ".rotary_emb.sin_cached",
            ".self_attn.bias", ".self_attn.masked_bias", ".attn.bias", ".attn.masked_bias",
            ".attention.bias", ".attention.masked_bias")  # fmt: skip
"""Ends of names that older files have, and that say nothing which the config does not."""


PREFIXES = ("model.", "transformer.", "gpt_neox.")
"""Of what a model has without its head."""
HEADS = ("lm_head.", "embed_out.", "output.", "score.")


def widened(raw: npt.NDArray[Any], precision: str) -> npt.NDArray[np.float32]:
    """Numbers as they lie in a file, in f32; of bfloat16 the file has bits."""
    return from_bf16(raw) if precision == "bfloat16" else raw.astype(np.float32)


class StoredTensor(Protocol):
    """One tensor of a file."""

    @property
    def file(self) -> Path: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    def read(self, rows: slice = WHOLE) -> npt.NDArray[np.float32]:
        """These rows of it in f32, exactly; nothing is kept."""
        ...

    def bits(self, dtype: str) -> npt.NDArray[Any] | None:
        """As it lies in the file, which is mapped, if it is of this precision: float16, or bfloat16
        as uint16."""
        ...

    @property
    def form(self) -> Kind | str:
        """How it lies there: in groups; as plain numbers (float32, float16, bfloat16); or as
        something that is converted, by its name."""
        ...


@runtime_checkable
class InGroups(Protocol):
    """A tensor whose form is a `Kind`."""

    def groups(self, rows: slice = WHOLE) -> Groups:
        """These rows of it."""
        ...


T = TypeVar("T", bound=StoredTensor)


def check_shape(one: StoredTensor, name: str, shape: tuple[int, ...]) -> None:
    """Raises CheckpointError for another one."""
    if tuple(one.shape) != shape:
        raise CheckpointError(
            f"{one.file}: tensor {name}: expected shape {shape}, found {tuple(one.shape)}"
        )


def tensors_for(spec: DecoderSpec, found: Mapping[str, T], where: Path) -> dict[str, T]:
    """Those that a model has, of those that were found. Raises CheckpointError for one that is
    missing, of another shape, or of another model."""
    expected, found = {}, with_prefix(spec, found)
    for name, shape in tensors_of(spec):  # a config may have any number of layers
        if (one := found.get(name)) is None:
            raise CheckpointError(f"{where}: tensor {name} of shape {shape} is missing")
        check_shape(one, name, shape)
        expected[name] = one
    tied = ("lm_head.weight",) if spec.tied_embeddings else ()
    unasked = (name for name in found if name not in expected and name not in tied)
    wrong = (n for n in unasked if not (n.endswith(HARMLESS) or stands_beside(spec, n)))
    if others := sorted(wrong):
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise CheckpointError(
            f"{where}: tensor {others[0]}{more} is not of the model that its config describes: is "
            "it the config of these weights?"
        )
    return expected


def with_prefix(spec: DecoderSpec, found: Mapping[str, T]) -> Mapping[str, T]:
    """Those of a model that was saved without its head, by the names that they have with it."""
    first = next(name for name, _ in tensors_of(spec))
    prefix = f"{first.partition('.')[0]}."
    if prefix not in PREFIXES or any(name.startswith(prefix) for name in found):
        return found
    return {name if name.startswith(HEADS) else prefix + name: one for name, one in found.items()}


def identity_of(where: Path, files: Iterable[Path]) -> str:
    """A digest of the files of weights: their names, sizes and times of modification."""
    facts = [str(where.resolve())]
    for file in sorted(set(files)):
        stat = file.stat()
        facts.append(f"{file.name} {stat.st_size} {stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()
