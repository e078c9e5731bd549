"""A head for labels of texts, which stands where others have one for tokens."""

from dataclasses import replace

from raylax.kernels.errors import CheckpointError
from raylax.kernels.families.values import Config, count
from raylax.kernels.spec import DecoderSpec

USUAL = 2
"""Labels where a config does not say, as transformers has it."""


def labels_of(config: Config) -> int:
    """How many there are. Names go before a number. Raises CheckpointError."""
    names = config.get("id2label")
    if names is not None and not isinstance(names, dict):
        raise CheckpointError(f"config.json: id2label must be an object, found {names!r}")
    return len(names) if names else count(config, "num_labels", USUAL)


def with_labels(config: Config, spec: DecoderSpec) -> DecoderSpec:
    """A spec with such a head, behind whose logits nothing is done. Raises CheckpointError."""
    return replace(
        spec,
        vocab=labels_of(config),
        embeds=spec.tokens,
        classifies=True,
        tied_embeddings=False,
        head_bias=False,
        logit_scale=1.0,
        logit_softcap=0.0,
    )
