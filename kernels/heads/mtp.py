"""The layer that a model brings itself to predict one token more (MTP): MiMo's,
https://arxiv.org/abs/2505.07608.

It goes on from what the base makes its logits of, and has the base's embedding and logits.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from raylax.kernels.checkpoints.base import Checkpoint
from raylax.kernels.checkpoints.hugging_face import (
    check_precisions,
    tensors_in,
    weight_files,
)
from raylax.kernels.checkpoints.quantised.schemes import whole_weights
from raylax.kernels.checkpoints.stored import StoredCheckpoint
from raylax.kernels.checkpoints.tensors import StoredTensor, tensors_for
from raylax.kernels.errors import CheckpointError
from raylax.kernels.families.known import FAMILIES
from raylax.kernels.heads.of_base import of_base
from raylax.kernels.model import Ints
from raylax.kernels.spec import DecoderSpec, Fusion
from raylax.kernels.store import key_of

NAMES = {
    "token_layernorm": "embedding_norm",
    "hidden_layernorm": "feature_norm",
    "input_proj": "fc",
    "final_layernorm": "norm",
}
"""What MiMo calls what we call otherwise; anything else is the layer's."""


class OwnHead(StoredCheckpoint):
    """The first of a base's own layers of this kind."""

    tokens: Ints | None = None

    def __init__(self, path: Path, base: Checkpoint) -> None:
        """`path`: where the base lies. Raises CheckpointError for one without such a layer."""
        self.path, self.base, self.config = path, base, base.config
        family = FAMILIES[base.spec.architecture]
        if not family.drafts or not path.is_dir():
            having = ", ".join(one.architecture for one in FAMILIES.values() if one.drafts)
            raise CheckpointError(
                f"{path}: {family.architecture} brings no layer that drafts, as {having} do"
            )
        self._paths = weight_files(path)
        found = whole_weights(self.config, tensors_in(self._paths), path)
        first = f"{family.beside}0."
        own: dict[str, Any] = {
            renamed(name.removeprefix(first)): one
            for name, one in found.items()
            if name.startswith(first)
        }
        if not own:
            raise CheckpointError(f"{path}: the layer that drafts ({first}*) is missing")
        self.spec, self.taps = layer_of(base.spec), (base.spec.layers,)
        self.tensors: Mapping[str, StoredTensor] = tensors_for(
            self.spec, of_base(self.spec, base, path, own) | own, path
        )
        check_precisions({n: one for n, one in own.items() if n in self.tensors})
        self.dtype = base.dtype

    @property
    def files(self) -> list[Path]:
        """Of weights."""
        return self._paths

    @property
    def identity(self) -> str:
        """Other weights than the base's, of the same files."""
        return key_of({"layer that drafts": super().identity})

    @property
    def text(self) -> Path:
        """The base's."""
        return self.base.text


def renamed(name: str) -> str:
    """What we call a tensor of such a layer."""
    first, rest = name.split(".", 1) if "." in name else (name, "")
    return f"{NAMES[first]}.{rest}" if first in NAMES else f"layers.0.{name}"


def layer_of(base: DecoderSpec) -> DecoderSpec:
    """A layer as the base's, behind a matrix."""
    norms = ("norm_e", "norm_h", "norm_1", "norm_f")
    fusion = Fusion(
        "residual", base.vocab, base.hidden, norms, feature_first=True, base_eps=base.norm_eps
    )
    return replace(base, layers=1, tied_embeddings=False, window=0, sinks=0, fusion=fusion)
