"""A checkpoint's weights, one at a time, as a step on a device is given them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.bf16 import to_bf16
from raylax.kernels.checkpoints.checkpoint import Checkpoint
from raylax.kernels.cuda.library import Facts

QKV = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
SOURCES = {
    "norm_1": ("input_layernorm.weight",),
    "w_qkv": tuple(f"{name}.weight" for name in QKV),
    "b_qkv": tuple(f"{name}.bias" for name in QKV),
    "w_o": ("self_attn.o_proj.weight",),
    "b_o": ("self_attn.o_proj.bias",),
    "norm_2": ("post_attention_layernorm.weight",),
    "w_gate_up": ("mlp.gate_proj.weight", "mlp.up_proj.weight"),
    "w_down": ("mlp.down_proj.weight",),
}
"""What a weight of a layer is made of, in the checkpoint's names; rows follow each other."""
OTHERS = {
    "w_embed": "model.embed_tokens.weight",
    "w_head": "lm_head.weight",
    "norm_f": "model.norm.weight",
}


def sources(name: str) -> tuple[str, ...]:
    """`layers.3.w_o` is made of `model.layers.3.self_attn.o_proj.weight`."""
    if name in OTHERS:
        return (OTHERS[name],)
    _, layer, own = name.split(".")
    return tuple(f"model.layers.{layer}.{source}" for source in SOURCES[own])


def weights(checkpoint: Checkpoint, facts: Facts) -> Iterator[tuple[npt.NDArray[Any], str]]:
    """(values, dtype) in the order of the library; bfloat16 as its bits."""
    for name, _, dtype in facts.parameters:
        parts = [checkpoint.tensor(source) for source in sources(name)]
        yield rounded(parts[0] if len(parts) == 1 else np.concatenate(parts), dtype), dtype


def rounded(values: npt.NDArray[np.float32], dtype: str) -> npt.NDArray[Any]:
    """To nearest, ties to even."""
    return to_bf16(values) if dtype == "bfloat16" else values.astype(dtype)
