"""GLM 4: norms before and behind, half of each head rotated, by neighbours."""

from dataclasses import replace

from raylax.kernels.families.base import Family
from raylax.kernels.families.values import Config
from raylax.kernels.families.weight_table import Layout, of_layer
from raylax.kernels.spec import DecoderSpec


def glm4(_: Config, spec: DecoderSpec) -> DecoderSpec:
    return replace(spec, norm_after=True)


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
