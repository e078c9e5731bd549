"""GPT-2, whose positions are learned; GPT-NeoX and Pythia (https://arxiv.org/abs/2204.06745), which
compute attention and MLP beside each other; gpt-oss (https://arxiv.org/abs/2508.10925), whose
attention has sinks, and whose experts clamp their units."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from raylax.kernels.families.base import Family
from raylax.kernels.families.experts import experts_of
from raylax.kernels.families.layers import all_but_each, with_windows
from raylax.kernels.families.rope import read_rope
from raylax.kernels.families.values import Config, number, switch
from raylax.kernels.families.weight import Order
from raylax.kernels.families.weight_table import Layout, of_layer
from raylax.kernels.spec import DecoderSpec, Rope


def gpt2(config: Config, spec: DecoderSpec) -> DecoderSpec:
    return replace(
        spec, norm="layer", norm_bias=True, gated=False, rope=Rope(0),
        query_scale=0.0 if switch(config, "scale_attn_weights", True) else 1.0,
        kv_heads=spec.heads, learned_positions=spec.max_positions,
    )  # fmt: skip


def neox(config: Config, spec: DecoderSpec) -> DecoderSpec:
    biased = switch(config, "attention_bias", True)
    return replace(
        spec, norm="layer", norm_bias=True, gated=False, qkv_bias=biased, output_bias=biased,
        kv_heads=spec.heads,
        parallel=switch(config, "use_parallel_residual", True),
    )  # fmt: skip


OSS_ROPE = {
    "rope_type": "yarn", "factor": 32.0, "original_max_position_embeddings": 4096,
    "truncate": False,
}  # fmt: skip
"""What is meant where a config of gpt-oss says nothing of it."""


def gpt_oss(config: Config, spec: DecoderSpec) -> DecoderSpec:
    """A router whose shares are a softmax of those that are chosen: the same as of all, made to sum
    up to 1."""
    biased = switch(config, "attention_bias", True)
    rope = spec.rope
    if config.get("rope_parameters") is None and config.get("rope_scaling") is None:
        rope = read_rope({**config, "rope_scaling": OSS_ROPE}, spec.head_dim, theta=OSS_THETA)
    experts = replace(
        experts_of(config, "intermediate_size"), normalised=True, router_bias=True, bias=True,
        limit=number(config, "swiglu_limit", 7.0), slope=number(config, "swiglu_alpha", 1.702),
        up_offset=1.0,
    )  # fmt: skip
    spec = replace(
        spec, rope=rope, qkv_bias=biased, output_bias=biased, learned_sinks=True, experts=experts,
        intermediate=0,
    )  # fmt: skip
    windows = config if "sliding_window" in config else {**config, "sliding_window": 128}
    return with_windows(windows, spec, all_but_each(2, spec))


def by_head(spec: DecoderSpec) -> Order:
    """A head's query, key and value follow each other."""
    rows = np.arange(3 * spec.heads * spec.head_dim).reshape(spec.heads, 3, spec.head_dim)
    return rows.transpose(1, 0, 2).ravel()


def names(prefix: str, **of: str) -> dict[str, tuple[str, ...]]:
    """Weights and biases of layers."""
    found: dict[str, tuple[str, ...]] = {}
    for weight, name in of.items():
        found[weight] = (f"{prefix}.{name}.weight",)
        bias = weight.replace("w_", "b_") if weight.startswith("w_") else f"{weight}_bias"
        found[bias] = (f"{prefix}.{name}.bias",)
    return found


OF_GPT2: Mapping[str, tuple[str, ...]] = {
    "w_embed": ("transformer.wte.weight",), "w_position": ("transformer.wpe.weight",),
    **names(
        "transformer.h.{layer}", norm_1="ln_1", w_qkv="attn.c_attn", w_o="attn.c_proj",
        norm_2="ln_2", w_gate_up="mlp.c_fc", w_down="mlp.c_proj",
    ),
    **names("transformer", norm_f="ln_f"),
}  # fmt: skip
GPT2 = Family(
    "GPT2LMHeadModel", qkv_bias=True, output_bias=True, mlp_bias=True, tied=True,
    eps_key="layer_norm_epsilon", default_eps=1e-5,
    keys={
        "n_embd": "hidden_size", "n_head": "num_attention_heads", "n_layer": "num_hidden_layers",
        "n_positions": "max_position_embeddings", "n_inner": "intermediate_size",
        "activation_function": "hidden_act",
    },
    default_activation="gelu_tanh", mlp_share=4, traits=gpt2,
    refuses=("scale_attn_by_inverse_layer_idx", "add_cross_attention"),
    layout=Layout(OF_GPT2, transposed=frozenset({"w_qkv", "w_o", "w_gate_up", "w_down"})),
    in_gguf=Layout(OF_GPT2),
)  # fmt: skip
OF_NEOX: Mapping[str, tuple[str, ...]] = {
    "w_embed": ("gpt_neox.embed_in.weight",), "w_head": ("embed_out.weight",),
    **names(
        "gpt_neox.layers.{layer}", norm_1="input_layernorm",
        w_qkv="attention.query_key_value", w_o="attention.dense",
        norm_2="post_attention_layernorm", w_gate_up="mlp.dense_h_to_4h",
        w_down="mlp.dense_4h_to_h",
    ),
    **names("gpt_neox", norm_f="final_layer_norm"),
}  # fmt: skip
NEOX = Family(
    "GPTNeoXForCausalLM", mlp_bias=True, eps_key="layer_norm_eps", default_eps=1e-5,
    keys={"rotary_pct": "partial_rotary_factor", "rotary_emb_base": "rope_theta"},
    default_activation="gelu", turned_share=0.25, traits=neox,
    layout=Layout(OF_NEOX, qkv=by_head), in_gguf=Layout(OF_NEOX),
)  # fmt: skip
OSS_THETA = 150000.0
OSS = Family(
    "GptOssForCausalLM", mlp_bias=False, head_dim=64, theta=OSS_THETA, default_eps=1e-5,
    traits=gpt_oss,
    layout=Layout({
        "w_router": of_layer("mlp.router.weight"), "b_router": of_layer("mlp.router.bias"),
    }, experts_together=True),
)  # fmt: skip
