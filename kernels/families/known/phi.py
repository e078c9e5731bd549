"""Phi 1, 1.5 and 2: attention and MLP beside each other behind one layer norm, and biases
everywhere; Phi 3 and 4: Llama with its matrices in one (https://arxiv.org/abs/2404.14219)."""

from dataclasses import replace

from raylax.kernels.families.base import Family
from raylax.kernels.families.values import Config
from raylax.kernels.families.weight_table import Layout, of_layer
from raylax.kernels.spec import DecoderSpec


def phi(_: Config, spec: DecoderSpec) -> DecoderSpec:
    return replace(
        spec, norm="layer", norm_bias=True, parallel=True, shared_norm=True, gated=False,
        head_bias=True,
    )  # fmt: skip


PHI = Family(
    "PhiForCausalLM", qkv_bias=True, output_bias=True, mlp_bias=True, eps_key="layer_norm_eps",
    default_eps=1e-5, turned_share=0.5, traits=phi, refuses=("qk_layernorm",),
    layout=Layout({
        "w_o": of_layer("self_attn.dense.weight"), "b_o": of_layer("self_attn.dense.bias"),
        "w_gate_up": of_layer("mlp.fc1.weight"), "b_gate_up": of_layer("mlp.fc1.bias"),
        "w_down": of_layer("mlp.fc2.weight"), "b_down": of_layer("mlp.fc2.bias"),
        "norm_f": ("model.final_layernorm.weight",),
        "norm_f_bias": ("model.final_layernorm.bias",),
    }),
)  # fmt: skip
PHI3 = Family(
    "Phi3ForCausalLM", qkv_bias=False, output_bias=False, mlp_bias=False, default_eps=1e-5,
    sliding_window=True,
    layout=Layout({
        "w_qkv": of_layer("self_attn.qkv_proj.weight"),
        "w_gate_up": of_layer("mlp.gate_up_proj.weight"),
    }),
)  # fmt: skip
