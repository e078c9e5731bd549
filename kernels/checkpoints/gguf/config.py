"""A GGUF file's metadata as the config.json that its model has elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from raylax.kernels.errors import CheckpointError

Config = dict[str, Any]
Metadata = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Architecture:
    """What a family is called here, and what files elsewhere say of it."""

    name: str
    """In config.json."""
    permuted: bool = False
    """Whether rows of queries and keys lie as the rotation of neighbours wants them."""


ARCHITECTURES = {
    "llama": Architecture("LlamaForCausalLM", permuted=True),
    "qwen2": Architecture("Qwen2ForCausalLM"),
}
"""By `general.architecture`. Mistral's files say llama, and are."""
COUNTS = {
    "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "context_length": "max_position_embeddings",
}
NUMBERS = {
    "rope.freq_base": "rope_theta",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
}
SCALINGS = ("none", "linear", "")


def architecture_of(metadata: Metadata, where: object) -> Architecture:
    """Raises CheckpointError for one that is not known, with those that are."""
    named = metadata.get("general.architecture")
    if (found := ARCHITECTURES.get(named) if isinstance(named, str) else None) is None:
        known = ", ".join(ARCHITECTURES)
        raise CheckpointError(
            f"{where}: general.architecture {named!r} is not supported; supported are {known}"
        )
    return found


def config_of(
    metadata: Metadata, where: object, tied: bool, factors: np.ndarray | None = None
) -> Config:
    """The config. `tied`: there is no output matrix; `factors`: by which the frequencies of the
    rotation are divided, where the file has such. Raises CheckpointError."""
    architecture, prefix = architecture_of(metadata, where), metadata["general.architecture"]
    config: Config = {
        "architectures": [architecture.name],
        "tie_word_embeddings": tied,
        "vocab_size": len(metadata.get("tokenizer.ggml.tokens", ())),
    }
    for table, kind in ((COUNTS, int), (NUMBERS, (int, float))):
        for key, name in table.items():
            if (value := metadata.get(f"{prefix}.{key}")) is not None:
                config[name] = one_of_all(value, f"{where}: {prefix}.{key}", kind)
    scaling = metadata.get(f"{prefix}.rope.scaling.type", "none")
    if factors is not None:
        config["rope_scaling"] = {"rope_type": "factors", "factors": factors.tolist()}
    elif scaling == "linear":
        factor = metadata.get(f"{prefix}.rope.scaling.factor")
        config["rope_scaling"] = {"rope_type": "linear", "factor": factor}
    elif scaling not in SCALINGS:
        raise CheckpointError(f"{where}: {prefix}.rope.scaling.type {scaling!r} is not supported")
    for token in ("bos", "eos", "pad"):
        key = {"pad": "padding"}.get(token, token)
        if isinstance(id := metadata.get(f"tokenizer.ggml.{key}_token_id"), int):
            config[f"{token}_token_id"] = id
    return config


def one_of_all(value: Any, what: str, kind: Any) -> Any:
    """A number, or the one that a list has for all layers. Raises CheckpointError."""
    if isinstance(value, np.ndarray):
        values = set(value.tolist())
        if len(values) != 1:
            raise CheckpointError(f"{what} must be the same in all layers, found {sorted(values)}")
        (value,) = values
    if isinstance(value, bool) or not isinstance(value, kind):
        raise CheckpointError(f"{what} must be a number, found {value!r}")
    return value
