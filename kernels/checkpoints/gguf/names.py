"""Names of a GGUF file's tensors, and what was done to them when they were put there."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.families import weights_of
from raylax.kernels.spec import DecoderSpec

Array = npt.NDArray[Any]
OF_WEIGHT = {
    "w_embed": ("token_embd",), "w_position": ("position_embd",), "norm_1": ("attn_norm",),
    "w_qkv": ("attn_q", "attn_k", "attn_v"), "norm_qk": ("attn_q_norm", "attn_k_norm"),
    "w_o": ("attn_output",), "norm_o": ("post_attention_norm",), "norm_2": ("ffn_norm",),
    "w_gate_up": ("ffn_gate", "ffn_up"), "w_down": ("ffn_down",), "norm_down": ("post_ffw_norm",),
    "norm_f": ("output_norm",), "w_head": ("output",), "w_router": ("ffn_gate_inp",),
    "w_experts_up": ("ffn_gate_exps", "ffn_up_exps"), "w_experts_down": ("ffn_down_exps",),
    "w_shared_gate": ("ffn_gate_inp_shexp",), "w_dense_up": ("ffn_gate", "ffn_up"),
    "w_dense_down": ("ffn_down",), "w_correction": ("exp_probs_b",), "sinks": ("attn_sinks",),
}  # fmt: skip
"""What the tensors of a weight are called, and so are those of its bias."""
SHARED = {
    "w_gate_up": ("ffn_gate_shexp", "ffn_up_shexp"), "w_down": ("ffn_down_shexp",),
}  # fmt: skip
"""The same of an MLP that stands beside experts."""
OWN = dict.fromkeys(
    ("GptOssForCausalLM", "Glm4MoeForCausalLM", "SeedOssForCausalLM"),
    {"norm_2": ("post_attention_norm",)},
)
"""The same of a family that has others."""
LABELS = {"w_head": ("cls.output",)}
"""The same of one with a head for labels."""
TOGETHER = {"w_qkv": ("attn_qkv",), "w_gate_up": ("ffn_up",)}
"""The same where one tensor is all of it."""
OUTPUT, MLP_BIAS = "output.weight", "blk.0.ffn_up.bias"
OUTPUT_BIAS = "blk.0.attn_output.bias"
QUERY_BIASES = "blk.0.attn_q.bias", "blk.0.attn_qkv.bias"
CORRECTION = "exp_probs_b.bias"
"""Ends the name of a vector that has one row in some files."""
EXPERTS_BIAS = "_exps.bias"
"""Ends the names of tensors that have a vector of each expert."""
QUERY_NORM = "blk.0.attn_q_norm.weight"
FACTORS = "rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight"
"""No weights: by what frequencies are divided."""
ROTATED = (".q_proj.", ".k_proj.")


def hugging_face_names(spec: DecoderSpec) -> Iterator[tuple[str, str]]:
    """(name here, name elsewhere) of each tensor of a model."""
    for weight in weights_of(spec).values():
        of = weight.name.removesuffix("_bias").replace("b_", "w_")
        called = OF_WEIGHT | (SHARED if spec.experts else {}) | OWN.get(spec.architecture, {})
        called = called | (LABELS if spec.classifies else {})
        own = called[of]
        own = own if len(weight.tensors) == len(own) else TOGETHER[of]
        end = "weight" if of == weight.name else "bias"
        for number in range(weight.times(spec.layers)):
            layer, expert = weight.place(number)
            block = f"blk.{layer}." if weight.layered else ""
            which = f".{expert}" if weight.experts else ""
            for ours, theirs in zip(own, weight.tensors, strict=True):
                yield f"{block}{ours}.{end}{which}", weight.named(theirs, number)


def halves(rows: Array, head_dim: int) -> Array:
    """Rows of queries or keys in which neighbours are rotated, so that halves of a head are."""
    pairs = rows.reshape(-1, head_dim // 2, 2, *rows.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows.shape)
