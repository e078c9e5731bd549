"""Qwen 1.5, 2, 2.5 and 3, and MiMo 7B: Llama with a bias on queries, keys and values, or with a
norm of each query and key instead (https://arxiv.org/abs/2505.09388)."""

from dataclasses import replace

from raylax.kernels.families.base import Family
from raylax.kernels.families.experts import dense_by_turns, experts_of, with_experts
from raylax.kernels.families.layers import with_windows
from raylax.kernels.families.values import Config, count, switch, whole
from raylax.kernels.families.weight_table import Layout, of_layer
from raylax.kernels.spec import DecoderSpec


def windowed(config: Config, spec: DecoderSpec) -> DecoderSpec:
    """With a window in the layers from `max_window_layers` on, if it is switched on."""
    if not switch(config, "use_sliding_window"):
        return spec
    usual = tuple(range(whole(config, "max_window_layers", 28), spec.layers))
    return with_windows(config, spec, usual)


def windowed_by_turns(config: Config, spec: DecoderSpec) -> DecoderSpec:
    """The same in every other layer before those."""
    if not switch(config, "use_sliding_window"):
        return spec
    end = min(whole(config, "max_window_layers", 28), spec.layers)
    return with_windows(config, spec, tuple(range(0, end, 2)))


def qwen3(config: Config, spec: DecoderSpec) -> DecoderSpec:
    return replace(windowed(config, spec), qk_norm="head")


QWEN2 = Family(
    "Qwen2ForCausalLM", qkv_bias=True, output_bias=False, mlp_bias=False, traits=windowed
)

MIMO = replace(QWEN2, architecture="MiMoForCausalLM", beside="model.mtp_layers.", drafts=True)
"""It brings a layer that predicts one token more, see `raylax.kernels.heads.mtp`."""


def qwen2_moe(config: Config, spec: DecoderSpec) -> DecoderSpec:
    """Beside the experts stands an MLP that counts as far as a gate lets it."""
    experts = replace(experts_of(config, "moe_intermediate_size"), shared_gate=True)
    shared = count(config, "shared_expert_intermediate_size")
    spec = replace(windowed_by_turns(config, spec), qkv_bias=switch(config, "qkv_bias", True))
    return with_experts(config, spec, experts, shared, dense_by_turns(config, spec))


def qwen3_moe(config: Config, spec: DecoderSpec) -> DecoderSpec:
    experts, spec = experts_of(config, "moe_intermediate_size"), replace(spec, qk_norm="head")
    return with_experts(config, spec, experts, 0, dense_by_turns(config, spec))


QWEN2_MOE = replace(
    QWEN2, architecture="Qwen2MoeForCausalLM", traits=qwen2_moe,
    layout=Layout({
        "w_gate_up": of_layer(*(f"mlp.shared_expert.{n}_proj.weight" for n in ("gate", "up"))),
        "w_down": of_layer("mlp.shared_expert.down_proj.weight"),
    }),
)  # fmt: skip
QWEN3_MOE = Family("Qwen3MoeForCausalLM", mlp_bias=False, traits=qwen3_moe)
QWEN3 = Family("Qwen3ForCausalLM", head_dim=128, mlp_bias=False, traits=qwen3)
