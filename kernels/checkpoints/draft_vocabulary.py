"""Fewer tokens to name than to read: models that draft name those that are said most, since a head
of all is the most of what their steps cost. Their files say which, as EAGLE-3's do."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.safetensors import Entry
from raylax.kernels.checkpoints.tensors import StoredTensor
from raylax.kernels.checkpoints.torch_files import TorchTensor
from raylax.kernels.errors import CheckpointError

MAPS = ("d2t", "t2d")
"""By how much the id of each token is more than the number of its logit, and which of the ids have
a logit."""


def named_tokens(
    path: Path, tensors: Mapping[str, StoredTensor], named: int, read: int
) -> npt.NDArray[np.int32] | None:
    """The id of each of the `named` tokens that have a logit, of `read` ids; None: they are the
    same. Raises CheckpointError."""
    if (more := tensors.get("d2t")) is None:
        if named != read:
            raise CheckpointError(
                f"{path}: names {named} of {read} tokens, and tensor d2t, which ones, is missing"
            )
        return None
    if more.shape != (named,):
        raise CheckpointError(f"{path}: tensor d2t: expected shape {(named,)}, found {more.shape}")
    tokens = np.arange(named) + whole_numbers(path, "d2t", more)
    outside = tokens[(tokens < 0) | (tokens >= read)]
    if outside.size:
        raise CheckpointError(f"{path}: tensor d2t names token {outside[0]}, of {read}")
    return tokens.astype(np.int32)


def whole_numbers(path: Path, name: str, tensor: StoredTensor) -> npt.NDArray[np.int64]:
    """A tensor of them. Raises CheckpointError for any other one."""
    if not isinstance(tensor, Entry | TorchTensor) or (raw := tensor.mapped()).dtype.kind != "i":
        raise CheckpointError(f"{path}: tensor {name} must be whole numbers, found {tensor.form}")
    numbers: npt.NDArray[np.int64] = raw.astype(np.int64)
    return numbers
