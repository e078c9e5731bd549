"""What a head takes of its base: tensors of another checkpoint, as if they were its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.base import WHOLE, Checkpoint
from raylax.kernels.checkpoints.groups import Groups, Kind
from raylax.kernels.checkpoints.tensors import StoredTensor
from raylax.kernels.families import weights_of
from raylax.kernels.spec import DecoderSpec


@dataclass(frozen=True)
class OfBase:
    """A tensor of the base's."""

    base: Checkpoint
    name: str
    shape: tuple[int, ...]
    file: Path

    def read(self, rows: slice = WHOLE) -> npt.NDArray[np.float32]:
        """These rows in f32."""
        return self.base.tensor(self.name, rows)

    def bits(self, dtype: str) -> npt.NDArray[Any] | None:
        """As it lies in its file, if it is of this precision."""
        return self.base.bits(self.name, dtype)

    @property
    def form(self) -> Kind | str:
        """How it lies there."""
        return self.base.form(self.name)

    def groups(self, rows: slice = WHOLE) -> Groups:
        """These rows in groups."""
        return self.base.groups(self.name, rows)


def of_base(
    spec: DecoderSpec, base: Checkpoint, path: Path, own: Mapping[str, Any]
) -> dict[str, StoredTensor]:
    """For a head of this spec at `path`: the base's last norm where it makes features, and its
    embedding and logits where the head has none and may have them."""
    table, taken = weights_of(base.spec), dict[str, str]()
    if spec.fusion and spec.fusion.into == "residual":
        taken["base.norm.weight"] = "norm_f"
    if "embed_tokens.weight" not in own:
        taken["embed_tokens.weight"] = "w_embed"
    if "lm_head.weight" not in own and spec.vocab == base.spec.vocab:
        taken["lm_head.weight"] = "w_head" if "w_head" in table else "w_embed"
    return {
        name: OfBase(base, *next(table[weight].sources()), path) for name, weight in taken.items()
    }
