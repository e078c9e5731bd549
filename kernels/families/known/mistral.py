"""Mistral 7B and its kin: Llama with a sliding window in some versions, never a bias."""

from dataclasses import replace

from raylax.kernels.families.base import Family
from raylax.kernels.families.experts import experts_of
from raylax.kernels.families.layers import with_windows
from raylax.kernels.families.values import Config
from raylax.kernels.families.weight_table import Layout, of_layer
from raylax.kernels.spec import DecoderSpec

MISTRAL = Family(
    "MistralForCausalLM",
    qkv_bias=False,
    output_bias=False,
    mlp_bias=False,
    sliding_window=True,
    default_window=4096,
)


def ministral(config: Config, spec: DecoderSpec) -> DecoderSpec:
    return with_windows(config, spec, tuple(range(spec.layers)))


def mixtral(config: Config, spec: DecoderSpec) -> DecoderSpec:
    """https://arxiv.org/abs/2401.04088."""
    experts = experts_of(config, "intermediate_size", normalised=True)
    return replace(spec, experts=experts, intermediate=0)


EXPERT = "block_sparse_moe.experts.{expert}"
MIXTRAL = replace(
    MISTRAL, architecture="MixtralForCausalLM", default_window=None, default_eps=1e-5, theta=1e6,
    traits=mixtral,
    layout=Layout({
        "w_router": of_layer("block_sparse_moe.gate.weight"),
        "w_experts_up": of_layer(f"{EXPERT}.w1.weight", f"{EXPERT}.w3.weight"),
        "w_experts_down": of_layer(f"{EXPERT}.w2.weight"),
    }),
)  # fmt: skip
MINISTRAL = replace(
    MISTRAL, architecture="MinistralForCausalLM", sliding_window=False, traits=ministral
)
