"""GLM 4: norms before and behind, half of each head rotated, by neighbours; GLM 4.5: experts
chosen by sigmoids, with one beside them that all tokens have."""

from dataclasses import replace

from raylax.kernels.families.base import Family
from raylax.kernels.families.experts import corrected, experts_of, first_dense, with_experts
from raylax.kernels.families.values import Config, count, switch
from raylax.kernels.families.weight_table import Layout, of_layer
from raylax.kernels.spec import DecoderSpec


def glm4(_: Config, spec: DecoderSpec) -> DecoderSpec:
    return replace(spec, norm_after=True)


def glm4_moe(config: Config, spec: DecoderSpec) -> DecoderSpec:
    """https://arxiv.org/abs/2508.06471."""
    experts = corrected(config, experts_of(config, "moe_intermediate_size", normalised=True))
    shared = experts.intermediate * count(config, "n_shared_experts", 1)
    spec = replace(spec, qk_norm="head" if switch(config, "use_qk_norm") else "")
    return with_experts(config, spec, experts, shared, first_dense(config, spec, 1))


TOGETHER = {"w_gate_up": of_layer("mlp.gate_up_proj.weight")}
GLM = Family(
    "GlmForCausalLM", output_bias=False, mlp_bias=False, head_dim=128, turned_share=0.5,
    neighbours=True, default_eps=1.5625e-07, layout=Layout(TOGETHER),
)  # fmt: skip
GLM4 = replace(
    GLM, architecture="Glm4ForCausalLM", traits=glm4,
    layout=Layout({
        **TOGETHER,
        "norm_2": of_layer("post_attention_layernorm.weight"),
        "norm_o": of_layer("post_self_attn_layernorm.weight"),
        "norm_down": of_layer("post_mlp_layernorm.weight"),
    }),
)  # fmt: skip
SHARED = Layout({
    "w_gate_up": of_layer(*(f"mlp.shared_experts.{n}_proj.weight" for n in ("gate", "up"))),
    "w_down": of_layer("mlp.shared_experts.down_proj.weight"),
})  # fmt: skip
"""The MLP beside experts, as DeepSeek V3 and its kin call it."""
GLM4_MOE = Family(
    "Glm4MoeForCausalLM", output_bias=False, mlp_bias=False, turned_share=0.5, default_eps=1e-5,
    traits=glm4_moe, layout=SHARED, keys={"n_routed_experts": "num_experts"},
    beside="model.layers.{layers}.",
)  # fmt: skip
