"""GGUF files of tiny models, written by the `gguf` package, llama.cpp's own."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFValueType, GGUFWriter, RopeScalingType
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import quantize
from safetensors.numpy import load_file

from raylax.kernels.checkpoints.gguf.names import hugging_face_names
from raylax.kernels.families import spec_of
from tests.support.checkpoints import config_of, write_checkpoint

ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2"}
NORMAL, CONTROL = 1, 3
OUTER = {
    "Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,),
    "Q5_0": (0,), "Q5_1": (0, 2), "IQ4_NL": (0,), "IQ4_XS": (0,),
}  # fmt: skip
"""Bytes of a block at which its f16 begin."""
UNWRITTEN = ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K")
"""Types that the package reads alone."""


def pairs(rows: np.ndarray, head_dim: int) -> np.ndarray:
    """As files of Llama have rows of queries and keys: neighbours are rotated."""
    split = rows.reshape(-1, 2, head_dim // 2, *rows.shape[1:])
    return np.ascontiguousarray(split.swapaxes(1, 2)).reshape(rows.shape)


def gguf_names(config: Mapping[str, Any]) -> dict[str, str]:
    """Of each tensor by Hugging Face's name."""
    return {theirs: ours for ours, theirs in hugging_face_names(spec_of(config))}


def write_gguf(
    path: Path,
    variant: str = "llama",
    kind: str | Callable[[str], str] = "F32",
    changed: Mapping[str, Any] | None = None,
    sizes: Mapping[str, int] | None = None,
    more: Mapping[str, np.ndarray] | None = None,
) -> Path:
    """A file of one of `checkpoints.VARIANTS`, in the directory of the checkpoint that it is made
    of, which is returned. `kind`: of its matrices, or of each by Hugging Face's name; K-quants are
    random blocks. `changed`: values of the metadata; `sizes`: of the config;
    `more`: tensors that it has besides, by their names there."""
    checkpoint = write_checkpoint(path / "checkpoint", variant, **(sizes or {}))
    config = {**config_of(variant), **(sizes or {})}
    weights = load_file(checkpoint / "model.safetensors")
    architecture = ARCHITECTURES[config["model_type"]]
    writer = GGUFWriter(path / "model.gguf", architecture)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    tokens = ["t0", "t1", "t", "1", *(f"t{i}" for i in range(4, config["vocab_size"]))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([CONTROL, CONTROL, *[NORMAL] * (len(tokens) - 2)])
    writer.add_token_merges(["t 1"])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    if (scaling := config.get("rope_scaling") or {}).get("rope_type") == "linear":
        writer.add_rope_scaling_type(RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(scaling["factor"])
    elif scaling:
        writer.add_tensor("rope_freqs.weight", factors_of(config))
    for key, value in (changed or {}).items():
        writer.kv_data[0].pop(key, None)
        writer.add_key_value(key, value, GGUFValueType.get_type(value))
    names = gguf_names(config)
    for name, values in weights.items():
        own = values.astype(np.float32)
        if architecture == "llama" and (".q_proj." in name or ".k_proj." in name):
            own = pairs(own, config["head_dim"])
        called = kind if isinstance(kind, str) else kind(name)
        fits = own.shape[-1] % 32 == 0 or called in ("F16", "BF16")
        of = GGMLQuantizationType[called if own.ndim == 2 and fits else "F32"]
        made = random_blocks(called, own.shape) if of.name in UNWRITTEN else quantize(own, of)
        writer.add_tensor(names[name], made, raw_dtype=of)
    for name, values in (more or {}).items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return checkpoint


def random_blocks(kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """u8[rows, bytes] of a type: any integers, and scales of both signs, some of them 0."""
    block, size = GGML_QUANT_SIZES[GGMLQuantizationType[kind]]
    rows, count = shape[0], shape[1] // block
    rng = np.random.default_rng(rows + count)
    content = rng.integers(0, 256, (rows, count, size), np.uint8)
    for at in OUTER.get(kind, ()):
        scales = rng.normal(0, 0.003, (rows, count)).astype(np.float16)
        scales[::7] = 0
        content[:, :, at : at + 2] = scales[..., None].view(np.uint8)
    return content.reshape(rows, -1)


def factors_of(config: dict[str, Any]) -> np.ndarray:
    """By which llama.cpp divides the frequencies of Llama 3's rotation, by its converter's rule."""
    scaling, dim = config["rope_scaling"], config["head_dim"]
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    original = scaling["original_max_position_embeddings"]
    found = []
    for i in range(0, dim, 2):
        length = 2 * math.pi * config["rope_theta"] ** (i / dim)
        if length < original / high:
            found.append(1.0)
        elif length > original / low:
            found.append(scaling["factor"])
        else:
            blend = (original / length - low) / (high - low)
            found.append(1 / ((1 - blend) / scaling["factor"] + blend))
    return np.array(found, np.float32)
