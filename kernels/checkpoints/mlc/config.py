"""A package's configuration as the files that its model has elsewhere."""

from collections.abc import Mapping
from typing import Any

from raylax.kernels.checkpoints.mlc.conversation import Conversation
from raylax.kernels.checkpoints.mlc.names import MODEL_TYPES
from raylax.kernels.errors import CheckpointError

Json = dict[str, Any]
SIZES = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "vocab_size", "rms_norm_eps", "tie_word_embeddings",
    "attention_bias", "rope_scaling", "hidden_act", "hidden_activation", "norm_eps",
    "partial_rotary_factor", "original_max_position_embeddings", "query_pre_attn_scalar",
    "attn_logit_softcapping", "final_logit_softcapping", "sliding_window", "num_experts",
    "num_local_experts", "num_experts_per_tok", "norm_topk_prob", "moe_intermediate_size",
    "shared_expert_intermediate_size", "decoder_sparse_step",
)  # fmt: skip
"""Of `model_config`, by Hugging Face's names."""
INSIDE = "text_config"
"""Where sizes are of a model of text that may be inside of another one."""

DRAWN = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "repetition_penalty")
"""How answers are drawn where a request does not say."""


def config_of(package: Mapping[str, Any], where: object) -> Json:
    """The config.json. Raises CheckpointError."""
    kind, sizes = package.get("model_type"), package.get("model_config")
    if not isinstance(kind, str) or kind not in MODEL_TYPES:
        known = ", ".join(MODEL_TYPES)
        raise CheckpointError(f"{where}: model_type {kind!r} is not supported; known are {known}")
    if not isinstance(sizes, dict):
        raise CheckpointError(f"{where}: model_config must be an object")
    if isinstance(inside := sizes.get(INSIDE), dict):
        sizes = {**sizes, **inside}
    config: Json = {name: sizes[name] for name in SIZES if is_told(sizes.get(name))}
    active, whole = size_of("active_vocab_size", package, {}), config.get("vocab_size")
    if active is not None and type(whole) is int:
        config["vocab_size"] = min(active, whole)
    config |= {"architectures": [MODEL_TYPES[kind].architecture], **MODEL_TYPES[kind].also}
    config["rope_theta"] = sizes.get("position_embedding_base") or sizes.get("rope_theta", 10000.0)
    window = size_of("sliding_window_size", package, sizes)
    config["max_position_embeddings"] = (
        size_of("context_window_size", package, sizes)
        or sizes.get("max_position_embeddings")
        or window
    )
    if MODEL_TYPES[kind].has_window:
        config["sliding_window"] = window
        if (sinks := size_of("attention_sink_size", package, sizes)) is not None:
            config["attention_sink_size"] = sinks
    if (chunk := size_of("prefill_chunk_size", package, sizes)) is not None:
        config["prefill_chunk_size"] = chunk
    for token in ("bos", "eos", "pad"):
        if (id := package.get(f"{token}_token_id")) is not None:
            config[f"{token}_token_id"] = id
    return config


def is_told(value: object) -> bool:
    """Numbers of 0 stand where a config has none."""
    return value is not None and (value != 0 or isinstance(value, bool))


def size_of(name: str, package: Mapping[str, Any], sizes: Mapping[str, Any]) -> int | None:
    """What the package says of a number of tokens, or else its model; -1 there is none."""
    for told in (package.get(name), sizes.get(name)):
        if type(told) is int and told > 0:
            return told
    return None


def generation_of(package: Mapping[str, Any], conversation: Conversation | None) -> Json:
    """The generation_config.json: what ends an answer, and how the package samples."""
    out: Json = {}
    if conversation is not None and conversation.stop_ids:
        out["eos_token_id"] = conversation.stop_ids
    if conversation is not None and conversation.stop_texts:
        out["stop_strings"] = conversation.stop_texts
    for name in DRAWN:
        if isinstance(value := package.get(name), int | float):
            out[name] = value
    return out
