"""Tiny checkpoints with seeded random weights, made where they are needed. No torch, no raylax."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

BASE: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 32, "vocab_size": 99, "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": True,
    "attention_bias": False, "mlp_bias": False, "torch_dtype": "float32",
    "bos_token_id": 0, "eos_token_id": 1,
}  # fmt: skip
LLAMA3_ROPE = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "llama": {},
    "llama3-untied-biased": {
        "rope_scaling": LLAMA3_ROPE, "rope_theta": 500000.0, "tie_word_embeddings": False,
        "attention_bias": True,
    },
    "mistral-one-kv-head": {
        "architectures": ["MistralForCausalLM"], "model_type": "mistral", "num_key_value_heads": 1,
        "head_dim": 64, "sliding_window": None, "tie_word_embeddings": False,
    },
    "qwen2-linear-rope": {
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "num_key_value_heads": 4,
        "use_sliding_window": False, "rope_scaling": {"rope_type": "linear", "factor": 2.0},
    },
}  # fmt: skip

ODD_SIZES: dict[str, dict[str, Any]] = {
    "hidden-100-dim-80-mlp-biased": {
        "hidden_size": 100, "head_dim": 80, "intermediate_size": 200, "vocab_size": 201,
        "mlp_bias": True, "attention_bias": True, "tie_word_embeddings": False,
        "rope_scaling": LLAMA3_ROPE, "num_hidden_layers": 3,
    },
    "hidden-96-dim-16-vocab-31": {
        "hidden_size": 96, "head_dim": 16, "intermediate_size": 50, "vocab_size": 31,
        "mlp_bias": True,
    },
    "mistral-dim-100": {
        "architectures": ["MistralForCausalLM"], "model_type": "mistral", "hidden_size": 36,
        "head_dim": 100, "num_attention_heads": 3, "num_key_value_heads": 1,
        "sliding_window": None, "intermediate_size": 33,
    },
    "dim-160": {
        "hidden_size": 64, "head_dim": 160, "num_attention_heads": 2, "num_key_value_heads": 1,
    },
    "least": {
        "hidden_size": 1, "head_dim": 2, "num_attention_heads": 1, "num_key_value_heads": 1,
        "intermediate_size": 1, "vocab_size": 1, "num_hidden_layers": 1,
    },
}  # fmt: skip
"""Of models that kernels do not compute as they are: `raylax.kernels.padding`."""


def config_of(variant: str) -> dict[str, Any]:
    """What `config.json` says of one of the VARIANTS, or the ODD_SIZES."""
    return {**BASE, **(VARIANTS | ODD_SIZES)[variant]}


def tensor_shapes(c: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Every tensor of such a model by Hugging Face's name."""
    hidden, dim = c["hidden_size"], c["head_dim"]
    heads = {"q": c["num_attention_heads"], "k": c["num_key_value_heads"]}
    heads["v"] = heads["k"]
    biased = c["attention_bias"] or c["model_type"] == "qwen2"
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (c["vocab_size"], hidden)}
    for layer in range(c["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        for name, count in heads.items():
            shapes[f"{at}self_attn.{name}_proj.weight"] = (count * dim, hidden)
            if biased:
                shapes[f"{at}self_attn.{name}_proj.bias"] = (count * dim,)
        shapes[at + "self_attn.o_proj.weight"] = (hidden, heads["q"] * dim)
        if c["attention_bias"]:
            shapes[at + "self_attn.o_proj.bias"] = (hidden,)
        for name in ("gate", "up"):
            shapes[f"{at}mlp.{name}_proj.weight"] = (c["intermediate_size"], hidden)
            if c["mlp_bias"]:
                shapes[f"{at}mlp.{name}_proj.bias"] = (c["intermediate_size"],)
        shapes[at + "mlp.down_proj.weight"] = (hidden, c["intermediate_size"])
        if c["mlp_bias"]:
            shapes[at + "mlp.down_proj.bias"] = (hidden,)
        shapes[at + "input_layernorm.weight"] = (hidden,)
        shapes[at + "post_attention_layernorm.weight"] = (hidden,)
    shapes["model.norm.weight"] = (hidden,)
    if not c["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (c.get("draft_vocab_size", c["vocab_size"]), hidden)
    return shapes


def weights_of(c: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Random weights by name, the same ones for the same configuration."""
    rng = np.random.default_rng(c.get("seed", 7))
    weights: dict[str, np.ndarray[Any, Any]] = {}
    for name, shape in tensor_shapes(c).items():
        drawn = rng.standard_normal(shape, dtype=np.float32)
        scale = 0.5 if name.startswith(("model.embed", "lm_head")) else 0.2
        weights[name] = 1 + 0.1 * drawn if name.endswith("norm.weight") else scale * drawn
    if named := c.get("draft_vocab_size"):
        ids = np.sort(rng.choice(c["vocab_size"], named, replace=False))
        weights["d2t"] = ids - np.arange(named)
    return weights


CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% for tool in tools or [] %}{{ tool.function.name }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MARKS = ["<|im_start|>", "<|im_end|>"]


def write_tokenizer(path: Path) -> None:
    """Printable ASCII, a token a character, and the two marks of the chat template: 97 of them."""
    letters = {chr(code): code - 32 for code in range(32, 127)}
    tokenizer = Tokenizer(models.BPE(vocab=letters | {"Ċ": 95, "Ġ": 96}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(MARKS)
    tokenizer.save(str(path / "tokenizer.json"))
    (path / "tokenizer_config.json").write_text(json.dumps({"chat_template": CHATML}))


def write_checkpoint(path: Path, variant: str = "llama", shards: int = 1, **changes: Any) -> Path:
    """A checkpoint directory, its weights in one file or in several with an index."""
    c = config_of(variant) | changes
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(c))
    write_tokenizer(path)
    weights = weights_of(c)
    if shards == 1:
        save_file(weights, path / "model.safetensors")
        return path
    names = sorted(weights)
    weight_map: dict[str, str] = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = {name: weights[name] for name in names[shard::shards]}
        save_file(part, path / file)
        weight_map |= dict.fromkeys(part, file)
    (path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return path
