"""dots.llm1 (https://arxiv.org/abs/2506.05767): experts chosen as in DeepSeek V3, a norm of each
query and key."""

from dataclasses import replace

from raylax.kernels.families.base import Family
from raylax.kernels.families.experts import corrected, experts_of, first_dense, with_experts
from raylax.kernels.families.known.glm import SHARED
from raylax.kernels.families.layers import with_windows
from raylax.kernels.families.values import Config, whole
from raylax.kernels.spec import DecoderSpec


def dots(config: Config, spec: DecoderSpec) -> DecoderSpec:
    experts = corrected(config, experts_of(config, "moe_intermediate_size"))
    shared = experts.intermediate * whole(config, "n_shared_experts", 0)
    spec = with_windows(config, replace(spec, qk_norm="head"), ())
    return with_experts(config, spec, experts, shared, first_dense(config, spec, 0))


DOTS1 = Family(
    "Dots1ForCausalLM", mlp_bias=False, traits=dots, layout=SHARED,
    keys={"n_routed_experts": "num_experts"},
)  # fmt: skip
