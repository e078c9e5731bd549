"""What a checkpoint is, whatever its files: the contract of the readers in this room."""

from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.groups import Groups, Kind
from raylax.kernels.spec import DecoderSpec

WHOLE = slice(None)
"""All rows of a tensor."""


class Blocks(NamedTuple):
    """Some rows of a matrix, in blocks of numbers that have scales in common."""

    kind: str
    """As ggml calls it."""
    size: int
    """Bytes of one."""
    content: npt.NDArray[np.uint8]
    """[rows, bytes]."""

    @property
    def one_by_one(self) -> npt.NDArray[np.uint8]:
        """[rows, blocks, bytes of one]."""
        rows, size = self.content.shape
        return self.content.reshape(rows, size // self.size, self.size)


class Checkpoint(Protocol):
    """A model's weights and what is known of it. Whoever has one need not look for mistakes any
    more: all tensors that the spec asks for are there, whole and of the right shape."""

    config: dict[str, Any]
    """What Hugging Face's config.json says of such a model."""
    spec: DecoderSpec
    dtype: str
    """The precision of the weights as they lie there: float32, float16 or bfloat16."""
    tokens: npt.NDArray[np.int32] | None
    """[vocab]: the id of each token that has a logit; None: they are the same."""

    @property
    def identity(self) -> str:
        """The same as long as the weights are; packed weights are found by it."""
        ...

    @property
    def text(self) -> Path:
        """A directory with what text is made by, in Hugging Face's files: config.json,
        tokenizer.json and, where the model has them, tokenizer_config.json, chat_template.jinja and
        generation_config.json."""
        ...

    def tensor(self, name: str, rows: slice = WHOLE) -> npt.NDArray[np.float32]:
        """A tensor that the spec asks for, in f32: all of it, or some rows that follow each other,
        which takes no more memory than they do. Names are Hugging Face's, as in
        `raylax.kernels.families.weight_table`."""
        ...

    def bits(self, name: str, dtype: str) -> npt.NDArray[Any] | None:
        """The same as it lies in its file, which is mapped, if it is of this precision: float16, or
        bfloat16 as uint16. None for any other one."""
        ...

    def form(self, name: str) -> Kind | str:
        """How it lies in its file: in groups; as plain numbers (float32, float16, bfloat16); or as
        something that is converted, by its name. No weight is read for it."""
        ...

    def groups(self, name: str, rows: slice = WHOLE) -> Groups:
        """A tensor, or some of its rows, in the groups that are its form."""
        ...

    def blocks(self, name: str, rows: slice = WHOLE) -> Blocks | None:
        """The same as it lies in its file, if that is a matrix in blocks of ggml's. None for any
        other one."""
        ...
