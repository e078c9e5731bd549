"""A GGUF file's metadata as the config.json that its model has elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from raylax.kernels.checkpoints.gguf.names import FACTORS
from raylax.kernels.errors import CheckpointError
from raylax.kernels.families.known import FAMILIES
from raylax.kernels.families.layers import KINDS

Config = dict[str, Any]
Metadata = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Architecture:
    """What a family is called here, and what files elsewhere say of it."""

    name: str
    """In config.json."""
    permuted: bool = False
    """Whether rows of queries and keys lie as the rotation of neighbours wants them."""
    also: Mapping[str, Any] = field(default_factory=dict)
    """What is meant here without being said."""
    scaling: Mapping[str, Any] = field(default_factory=dict)
    """The same of a rotation that is scaled."""
    named: Mapping[str, str] = field(default_factory=dict)
    """What its config calls otherwise than others do, by keys of files."""


WHOLE_NORMS = {"norm_weights_are_whole": True}
COHERES = {"logit_scale": "logit_scale"}
ARCHITECTURES = {
    "arcee": Architecture("ArceeForCausalLM", permuted=True),
    "cohere2": Architecture("Cohere2ForCausalLM", named=COHERES),
    "command-r": Architecture("CohereForCausalLM", named=COHERES),
    "dots1": Architecture("Dots1ForCausalLM"),
    "ernie4_5": Architecture("Ernie4_5ForCausalLM"),
    "ernie4_5-moe": Architecture(
        "Ernie4_5_MoeForCausalLM",
        named={
            "expert_shared_count": "moe_num_shared_experts",
            "interleave_moe_layer_step": "moe_layer_interval",
            "leading_dense_block_count": "moe_layer_start_index",
        },
    ),
    "exaone4": Architecture("Exaone4ForCausalLM"),
    "gemma": Architecture("GemmaForCausalLM", also=WHOLE_NORMS),
    "gemma2": Architecture("Gemma2ForCausalLM", also=WHOLE_NORMS),
    "gemma3": Architecture("Gemma3ForCausalLM", also=WHOLE_NORMS),
    "glm4": Architecture("Glm4ForCausalLM"),
    "glm4moe": Architecture("Glm4MoeForCausalLM"),
    "gpt2": Architecture("GPT2LMHeadModel"),
    "gptneox": Architecture("GPTNeoXForCausalLM"),
    "gpt-oss": Architecture("GptOssForCausalLM", scaling={"truncate": False}),
    "granite": Architecture("GraniteForCausalLM", permuted=True),
    "internlm2": Architecture("InternLM2ForCausalLM", permuted=True),
    "llama": Architecture("LlamaForCausalLM", permuted=True),
    "minimax-m2": Architecture("MiniMaxM2ForCausalLM"),
    "nemotron": Architecture("NemotronForCausalLM", also=WHOLE_NORMS),
    "olmo2": Architecture("Olmo2ForCausalLM"),
    "olmoe": Architecture("OlmoeForCausalLM"),
    "phi2": Architecture("PhiForCausalLM", also={"hidden_act": "gelu_new"}),
    "phi3": Architecture("Phi3ForCausalLM"),
    "qwen2": Architecture("Qwen2ForCausalLM"),
    "qwen2vl": Architecture("Qwen2ForCausalLM"),
    "qwen2moe": Architecture("Qwen2MoeForCausalLM"),
    "qwen3": Architecture("Qwen3ForCausalLM"),
    "qwen3vl": Architecture("Qwen3ForCausalLM"),
    "qwen3moe": Architecture("Qwen3MoeForCausalLM", also={"norm_topk_prob": True}),
    "seed_oss": Architecture("SeedOssForCausalLM"),
    "smollm3": Architecture("SmolLM3ForCausalLM", permuted=True),
    "stablelm": Architecture("StableLmForCausalLM"),
    "starcoder2": Architecture("Starcoder2ForCausalLM", also={"hidden_act": "gelu_new"}),
}
"""By `general.architecture`. Mistral's files say llama, and are; Mixtral's say so, too."""
ALSO_NAMED = {
    "llama": ("expert_count", "MixtralForCausalLM"),
    "olmo2": ("attention.sliding_window", "Olmo3ForCausalLM"),
}
"""What a file has that is of another family by the same name, and which."""
COUNTS = {
    "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "attention.sliding_window": "sliding_window",
    "context_length": "max_position_embeddings",
    "expert_count": "num_experts",
    "expert_used_count": "num_experts_per_tok",
    "expert_shared_count": "n_shared_experts",
    "expert_group_count": "n_group",
    "expert_group_used_count": "topk_group",
    "interleave_moe_layer_step": "interleave_moe_layer_step",
    "leading_dense_block_count": "first_k_dense_replace",
    "nextn_predict_layers": "num_nextn_predict_layers",
    "expert_feed_forward_length": "moe_intermediate_size",
    "expert_shared_feed_forward_length": "shared_expert_intermediate_size",
    "rope.dimension_count": "rotary_dims",
    "rope.scaling.original_context_length": "original_max_position_embeddings",
}
NUMBERS = {
    "rope.freq_base": "rope_theta",
    "rope.freq_base_swa": "rope_local_base_freq",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "attention.scale": "attention_multiplier",
    "attn_logit_softcapping": "attn_logit_softcapping",
    "final_logit_softcapping": "final_logit_softcapping",
    "embedding_scale": "embedding_multiplier",
    "residual_scale": "residual_multiplier",
    "logit_scale": "logits_scaling",
    "expert_weights_scale": "routed_scaling_factor",
}
OF_27B = (46, 62)
"""Layers of Gemma 2 27B and Gemma 3 27B."""
SCALINGS = ("none", "linear", "yarn", "")
SWITCHES = {
    "use_parallel_residual": "use_parallel_residual", "expert_weights_norm": "norm_topk_prob",
}  # fmt: skip
EPSILON = "attention.layer_norm_epsilon"
"""Of layer norms, which configs call otherwise in each family."""


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
    metadata: Metadata, where: object, tied: bool, factors: Mapping[str, np.ndarray]
) -> Config:
    """The config. `tied`: there is no output matrix; `factors`: tensors by which the frequencies of
    the rotation are divided, by their names. Raises CheckpointError."""
    architecture, prefix = architecture_of(metadata, where), metadata["general.architecture"]
    sign, other = ALSO_NAMED.get(prefix, ("", ""))
    config: Config = {
        "architectures": [other if metadata.get(f"{prefix}.{sign}") else architecture.name],
        "tie_word_embeddings": tied,
        "vocab_size": len(metadata.get("tokenizer.ggml.tokens", ())),
        **architecture.also,
    }
    numbers = {**NUMBERS, EPSILON: FAMILIES[architecture.name].eps_key}
    for table, kind in ((COUNTS, int), (numbers, (int, float))):
        for key, name in table.items():
            if (value := metadata.get(f"{prefix}.{key}")) is not None:
                own = architecture.named.get(key, name)
                config[own] = one_of_all(value, f"{where}: {prefix}.{key}", kind)
    for key, name in SWITCHES.items():
        if isinstance(value := metadata.get(f"{prefix}.{key}"), bool):
            config[name] = value
    without_predicting(config)
    if architecture.name.startswith("Gemma"):
        config["query_pre_attn_scalar"] = gemmas_scale(config)
    config["sliding_window"] = config.get("sliding_window") or None
    slides = metadata.get(f"{prefix}.attention.sliding_window_pattern")
    if isinstance(slides, np.ndarray):
        config["layer_types"] = [KINDS[bool(one)] for one in slides]
    partly_rotated(config)
    if scaling := scaling_of(metadata, prefix, where, factors):
        config["rope_scaling"] = {**scaling, **architecture.scaling}
    for token in ("bos", "eos", "pad"):
        key = {"pad": "padding"}.get(token, token)
        if isinstance(id := metadata.get(f"tokenizer.ggml.{key}_token_id"), int):
            config[f"{token}_token_id"] = id
    return config


def without_predicting(config: Config) -> None:
    """Files count the layers that predict one token more among the others."""
    more, every = config.get("num_nextn_predict_layers"), config.get("num_hidden_layers")
    if more and every:
        config["num_hidden_layers"] = every - more


def gemmas_scale(config: Config) -> int | None:
    """By the root of what scores are divided: a head's dims, but in the largest models, which files
    do not tell by anything else than their layers."""
    heads, hidden = (config.get(key) for key in ("num_attention_heads", "hidden_size"))
    if heads and hidden and config.get("num_hidden_layers") in OF_27B:
        return int(hidden // heads)
    return config.get("head_dim")


def partly_rotated(config: Config) -> None:
    """Of how many dims of a head are rotated, which share of it that is."""
    heads, hidden = (config.get(key) for key in ("num_attention_heads", "hidden_size"))
    dim = config.get("head_dim") or (hidden // heads if heads and hidden else 0)
    if dims := config.pop("rotary_dims", None):
        config["partial_rotary_factor"] = dims / dim if dim else 1.0


def scaling_of(
    metadata: Metadata, prefix: str, where: object, factors: Mapping[str, np.ndarray]
) -> Config:
    """Of the rotation; empty: none. Raises CheckpointError."""
    plain, short, long = (factors.get(name) for name in FACTORS)
    if plain is not None:
        return {"rope_type": "factors", "factors": plain.tolist()}
    named = f"{prefix}.rope.scaling"
    if short is not None and long is not None:
        table = {"rope_type": "longrope", "short_factor": short.tolist()}
        grown = metadata.get(f"{named}.attn_factor")
        return {**table, "long_factor": long.tolist(), "attention_factor": grown}
    scaling = metadata.get(f"{named}.type", "none")
    if scaling not in SCALINGS:
        raise CheckpointError(f"{where}: {named}.type {scaling!r} is not supported")
    if scaling in ("none", ""):
        return {}
    table = {"rope_type": scaling, "factor": metadata.get(f"{named}.factor")}
    if scaling == "yarn":
        table["original_max_position_embeddings"] = metadata.get(f"{named}.original_context_length")
        for key in ("beta_fast", "beta_slow"):
            table[key] = metadata.get(f"{named}.yarn_{key}")
    return table


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
