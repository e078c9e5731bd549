"""StarCoder 2 (https://arxiv.org/abs/2402.19173): layer norms, biases, an MLP without gates."""

from dataclasses import replace

from raylax.kernels.families.base import Family
from raylax.kernels.families.values import Config, switch
from raylax.kernels.families.weight_table import Layout, of_layer
from raylax.kernels.spec import DecoderSpec


def starcoder2(config: Config, spec: DecoderSpec) -> DecoderSpec:
    bias = switch(config, "use_bias", True)
    return replace(
        spec, norm="layer", norm_bias=True, gated=False, qkv_bias=bias, output_bias=bias,
        mlp_bias=bias,
    )  # fmt: skip


STARCODER2 = Family(
    "Starcoder2ForCausalLM", eps_key="norm_epsilon", default_eps=1e-5, tied=True,
    sliding_window=True, traits=starcoder2,
    layout=Layout({
        "w_gate_up": of_layer("mlp.c_fc.weight"), "b_gate_up": of_layer("mlp.c_fc.bias"),
        "w_down": of_layer("mlp.c_proj.weight"), "b_down": of_layer("mlp.c_proj.bias"),
    }),
)  # fmt: skip
