"""StableLM 2: Llama with layer norms, a quarter of each head rotated."""

from dataclasses import replace

from raylax.kernels.families.base import Family
from raylax.kernels.families.values import Config, switch
from raylax.kernels.spec import DecoderSpec


def stablelm(config: Config, spec: DecoderSpec) -> DecoderSpec:
    beside = switch(config, "use_parallel_residual")
    return replace(
        spec, norm="layer", norm_bias=True, parallel=beside, shared_norm=beside,
        qkv_bias=switch(config, "use_qkv_bias"),
    )  # fmt: skip


STABLELM = Family(
    "StableLmForCausalLM", output_bias=False, mlp_bias=False, eps_key="layer_norm_eps",
    default_eps=1e-5, turned_share=0.25, traits=stablelm, refuses=("qk_layernorm",),
)  # fmt: skip
