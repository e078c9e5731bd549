"""Families as MLC-LLM packages them: each weight under the name that its loader gives it there."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from raylax.kernels.families import spec_of, tensors_of
from tests.support.family_checkpoints import drawn
from tests.support.family_configs import CONFIGS, OF_OTHERS
from tests.support.mlc_packages import Arrays, write_arrays

Names = Callable[[str], str]
LAYER = re.compile(r"model\.layers\.(\d+)\.(.*)")
QKV, C_ATTN = "self_attn.qkv_proj", "self_attn.c_attn"


def joined(weights: Arrays, into: str, *parts: str) -> None:
    """Put the rows of some modules of each layer together."""
    for name in [one for one in weights if f".{parts[0]}." in one]:
        of = [weights.pop(name.replace(parts[0], part)) for part in parts]
        weights[name.replace(parts[0], into)] = np.concatenate(of)


def stacked(weights: Arrays, into: str, *parts: str, experts: int) -> None:
    """Put matrices of all experts of a layer together."""
    first = f".{parts[0].format(0)}.weight"
    for name in [one for one in weights if one.endswith(first)]:
        layer = name.removesuffix(first)
        each = [
            np.concatenate([weights.pop(f"{layer}.{part.format(one)}.weight") for part in parts])
            for one in range(experts)
        ]
        weights[f"{layer}.{into}.weight"] = np.stack(each)


def dense(weights: Arrays, attention: str = QKV) -> None:
    joined(weights, attention, *(f"self_attn.{one}_proj" for one in "qkv"))
    joined(weights, "mlp.gate_up_proj", "mlp.gate_proj", "mlp.up_proj")


def gemma(weights: Arrays) -> None:
    """Norms as they count, and the head is the embedding."""
    dense(weights)
    whole_norms(weights)


def gemma3(weights: Arrays) -> None:
    joined(weights, "mlp.gate_up_proj", "mlp.gate_proj", "mlp.up_proj")
    whole_norms(weights)
    for name in list(weights):
        weights[f"language_model.{name}"] = weights.pop(name)


def whole_norms(weights: Arrays) -> None:
    for name, values in weights.items():
        if values.ndim == 1:
            weights[name] = values + np.float32(1)


def phi3(weights: Arrays) -> None:
    inside = {
        "input_layernorm": "ln", "self_attn.o_proj": "mixer.out_proj",
        "self_attn.qkv_proj": "mixer.qkv_proj",
    }  # fmt: skip
    for name in list(weights):
        if (layer := LAYER.fullmatch(name)) is not None:
            number, rest = layer.groups()
            for theirs, own in inside.items():
                rest = rest.replace(theirs, own)
            weights[f"transformer.h.{number}.{rest}"] = weights.pop(name)
    outer = {"model.embed_tokens": "transformer.embd", "model.norm": "transformer.norm"}
    for theirs, own in outer.items():
        weights[f"{own}.weight"] = weights.pop(f"{theirs}.weight")


def qwen(weights: Arrays) -> None:
    dense(weights, C_ATTN)


def qwen_moe(weights: Arrays, experts: int) -> None:
    joined(weights, C_ATTN, *(f"self_attn.{one}_proj" for one in "qkv"))
    joined(weights, "mlp.shared_expert.gate_up_proj",
           *(f"mlp.shared_expert.{one}_proj" for one in ("gate", "up")))  # fmt: skip
    gate_up = ("mlp.experts.{}.gate_proj", "mlp.experts.{}.up_proj")
    stacked(weights, "mlp.moe_gate_up_proj", *gate_up, experts=experts)
    stacked(weights, "mlp.moe_down_proj", "mlp.experts.{}.down_proj", experts=experts)


def mixtral(weights: Arrays, experts: int) -> None:
    joined(weights, QKV, *(f"self_attn.{one}_proj" for one in "qkv"))
    each = "block_sparse_moe.experts.{}"
    stacked(weights, "moe.e1_e3", f"{each}.w1", f"{each}.w3", experts=experts)
    stacked(weights, "moe.e2", f"{each}.w2", experts=experts)
    for name in [one for one in weights if "block_sparse_moe.gate" in one]:
        weights[name.replace("block_sparse_moe", "moe")] = weights.pop(name)


def internlm2(weights: Arrays) -> None:
    """Queries, keys and values one behind the other."""
    spec = spec_of(OF_OTHERS["internlm2"])
    per, dim = spec.queries_per_kv_head + 2, spec.head_dim
    for name in [one for one in weights if ".wqkv." in one]:
        heads = weights[name].reshape(spec.kv_heads, per, dim, -1)
        parts = (heads[:, :-2], heads[:, -2], heads[:, -1])
        weights[name] = np.concatenate([one.reshape(-1, spec.hidden) for one in parts])
    joined(weights, "feed_forward.gate_up_proj", "feed_forward.w1", "feed_forward.w3")


TYPES: dict[str, tuple[str, Callable[..., None]]] = {
    "qwen2-window": ("qwen2", qwen), "qwen3": ("qwen3", qwen), "qwen3-odd": ("qwen3", qwen),
    "gemma": ("gemma", gemma), "gemma2": ("gemma2", gemma), "gemma3": ("gemma3_text", gemma3),
    "phi3": ("phi3", phi3), "phi4-mini": ("phi3", phi3), "olmo2": ("olmo2", dense),
    "nemotron": ("nemotron", dense), "mixtral": ("mixtral", mixtral),
    "qwen2-moe": ("qwen2_moe", qwen_moe), "qwen3-moe": ("qwen3_moe", qwen_moe),
    "internlm2": ("internlm2", internlm2),
}  # fmt: skip
"""MLC's name, and what its loader does, of some of the CONFIGS."""
NOT_TOLD = (
    "architectures", "model_type", "rope_theta", "bos_token_id", "eos_token_id", "pad_token_id",
    "torch_dtype", "layer_types", "max_position_embeddings", "use_sliding_window",
)  # fmt: skip


def write_family_package(
    path: Path, name: str, quantization: str, how: tuple[int, int, bool] | None
) -> Path:
    """One of the TYPES."""
    config: dict[str, Any] = (CONFIGS | OF_OTHERS)[name]
    kind, put_together = TYPES[name]
    weights = drawn(config)
    experts = spec_of(config).experts
    put_together(weights, **({"experts": experts.count} if experts else {}))
    sizes = {key: value for key, value in config.items() if key not in NOT_TOLD}
    sizes["position_embedding_base"] = config["rope_theta"]
    if kind == "gemma3_text":
        sizes["sliding_window_size"] = sizes.pop("sliding_window")
        sizes = {"text_config": sizes, "vocab_size": sizes.pop("vocab_size")}
    package = {"model_type": kind, "model_config": sizes, "context_window_size": 512}
    return write_arrays(path, weights, package, quantization, how)


def names_of(name: str) -> list[str]:
    """The tensors of one, by Hugging Face's names."""
    return [one for one, _ in tensors_of(spec_of((CONFIGS | OF_OTHERS)[name]))]
