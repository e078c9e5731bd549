"""A head of EAGLE's in its files, checked against its base: embedding and logits may be the
base's."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from raylax.kernels.checkpoints.base import Checkpoint
from raylax.kernels.checkpoints.draft_vocabulary import MAPS, named_tokens
from raylax.kernels.checkpoints.hugging_face import (
    check_precisions,
    tensors_in,
    weight_files,
)
from raylax.kernels.checkpoints.quantised.schemes import whole_weights
from raylax.kernels.checkpoints.stored import StoredCheckpoint
from raylax.kernels.checkpoints.tensors import StoredTensor, tensors_for
from raylax.kernels.errors import CheckpointError
from raylax.kernels.families.values import count, switch
from raylax.kernels.heads.config import (
    check_same,
    config_in,
    decoder_of,
    named_after,
    named_type,
    tapped_layers,
)
from raylax.kernels.heads.of_base import of_base
from raylax.kernels.spec import DecoderSpec, Fusion
from raylax.kernels.store import key_of

PREFIXES = {"model.": "", "midlayer.": "layers.0.", "transformer.": "layers.0.",
            "fusion_fc.": "fc."}  # fmt: skip
"""How names begin in some files, and how we call that."""
OF_ATTENTION = {
    "layers.0.input_layernorm.weight": "embedding_norm.weight",
    "layers.0.hidden_norm.weight": "feature_norm.weight",
}
"""What EAGLE-3 calls its layer's norms, and what they are."""


class HeadCheckpoint(StoredCheckpoint):
    """A directory with a head of EAGLE-1, 2 or 3 for a base."""

    def __init__(self, path: Path, base: Checkpoint) -> None:
        """Raises CheckpointError for what is missing, damaged, not known here, or another base's
        head."""
        self.path, self.base, self.config = path, base, config_in(path)
        if "medusa_num_heads" in self.config:
            raise CheckpointError(f"{path}: are Medusa's heads, not one of EAGLE's")
        self._paths = weight_files(path)
        found = whole_weights(self.config, tensors_in(self._paths), path)
        tensors: dict[str, Any] = {canonical(name): one for name, one in found.items()}
        with named_after(path):
            if (named_type(self.config) or kind_of(tensors)) == "eagle3":
                tensors = {OF_ATTENTION.get(name, name): one for name, one in tensors.items()}
                self.spec, self.taps = self._eagle_3(tensors)
            else:
                self.spec, self.taps = self._eagle_1(tensors), (base.spec.layers,)
        self.tokens = named_tokens(path, tensors, self.spec.vocab, base.spec.vocab)
        kept = {name: one for name, one in tensors.items() if name not in MAPS}
        self.tensors: Mapping[str, StoredTensor] = tensors_for(
            self.spec, of_base(self.spec, base, path, kept) | kept, path
        )
        check_precisions({n: one for n, one in kept.items() if n in self.tensors})
        self.dtype = str(tensors["layers.0.self_attn.q_proj.weight"].precision)

    @property
    def files(self) -> list[Path]:
        """Of weights, the base's left out."""
        return self._paths

    @property
    def identity(self) -> str:
        """A digest of the files of weights, and the base's."""
        return key_of({"head": super().identity, "base": self.base.identity})

    @property
    def text(self) -> Path:
        """The base's: a head has no words of its own."""
        return self.base.text

    def _eagle_1(self, tensors: Mapping[str, StoredTensor]) -> DecoderSpec:
        if switch(self.config, "layernorms"):
            raise CheckpointError("config.json: layernorms must be false, found True")
        spec, base = decoder_of(self.config, tensors), self.base.spec
        check_same(self.path, "vocabulary", spec.vocab, base.vocab)
        check_same(self.path, "hidden size", spec.hidden, base.hidden)
        fusion = Fusion(
            "residual", base.vocab, base.hidden, bias="fc.bias" in tensors, base_eps=base.norm_eps
        )
        return replace(spec, fusion=fusion)

    def _eagle_3(self, tensors: Mapping[str, StoredTensor]) -> tuple[DecoderSpec, tuple[int, ...]]:
        spec, base = decoder_of(self.config, tensors), self.base.spec
        check_same(self.path, "vocabulary", spec.vocab, base.vocab)
        if "embed_tokens.weight" not in tensors:
            check_same(self.path, "hidden size", spec.hidden, base.hidden)
        taps = tapped_layers(self.config, base.layers)
        wide = spec.hidden, len(taps) * base.hidden
        if (fc := tensors.get("fc.weight")) is not None and fc.shape != wide:
            raise CheckpointError(
                f"{self.path}: fc.weight must be {wide}, for {len(taps)} residual streams of "
                f"{base.hidden} numbers of the base, found {fc.shape}"
            )
        # speculators' own default; EAGLE's authors have it so
        before = named_type(self.config) is not None
        fusion = Fusion(
            "attention",
            base.vocab,
            len(taps) * base.hidden,
            ("norm_e", "norm_h", "norm_f"),
            normed_residual=switch(self.config, "norm_before_residual", before),
        )
        named = count(self.config, "draft_vocab_size", spec.vocab)
        return replace(spec, vocab=named, fusion=fusion), taps


def canonical(name: str) -> str:
    """What we call a tensor."""
    for prefix, ours in PREFIXES.items():
        if name.startswith(prefix):
            name = ours + name.removeprefix(prefix)
    return name


def kind_of(names: Mapping[str, Any]) -> str:
    """Which kind of head has tensors of these names: the norm of its feature is EAGLE-3's."""
    return "eagle3" if "layers.0.hidden_norm.weight" in names or "d2t" in names else "eagle"
