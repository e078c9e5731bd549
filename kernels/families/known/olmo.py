"""OLMo 2 (https://arxiv.org/abs/2501.00656): norms behind attention and MLP, none before, and norms
of all queries and keys of a token; OLMo 3: most layers see a window."""

from dataclasses import replace

from raylax.kernels.families.base import Family
from raylax.kernels.families.experts import experts_of
from raylax.kernels.families.layers import all_but_each, with_windows
from raylax.kernels.families.rope import rope_of_local
from raylax.kernels.families.values import Config
from raylax.kernels.spec import DecoderSpec


def olmo2(_: Config, spec: DecoderSpec) -> DecoderSpec:
    return replace(spec, norm_before=False, norm_after=True, qk_norm="whole")


def olmo3(config: Config, spec: DecoderSpec) -> DecoderSpec:
    rope = rope_of_local(config, spec.head_dim, theta=spec.rope.theta)
    return with_windows(config, olmo2(config, spec), all_but_each(4, spec), rope)


def olmoe(config: Config, spec: DecoderSpec) -> DecoderSpec:
    """https://arxiv.org/abs/2409.02060."""
    experts = experts_of(config, "intermediate_size")
    return replace(spec, qk_norm="whole", experts=experts, intermediate=0)


OLMOE = Family(
    "OlmoeForCausalLM", mlp_bias=False, default_eps=1e-5, traits=olmoe, refuses=("clip_qkv",)
)
OLMO2 = Family("Olmo2ForCausalLM", mlp_bias=False, default_eps=1e-5, traits=olmo2)
OLMO3 = replace(OLMO2, architecture="Olmo3ForCausalLM", theta=5e5, traits=olmo3)
