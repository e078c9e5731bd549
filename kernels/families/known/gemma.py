"""Gemma 1, 2 and 3 (https://arxiv.org/abs/2403.08295, 2408.00118, 2503.19786): norms whose weights
lie around 0, more of them in each version, and layers that see a window."""

import math
from dataclasses import replace

from raylax.kernels.families.base import Family
from raylax.kernels.families.layers import all_but_each, with_windows
from raylax.kernels.families.rope import rope_of_local
from raylax.kernels.families.values import Config, cap, count, number, switch
from raylax.kernels.spec import DecoderSpec


def gemma(config: Config, spec: DecoderSpec) -> DecoderSpec:
    offset = 0.0 if switch(config, "norm_weights_are_whole") else 1.0  # they are in GGUF files
    return replace(spec, norm_offset=offset, embed_scale=math.sqrt(spec.hidden))


def gemma1(config: Config, spec: DecoderSpec) -> DecoderSpec:
    """Its first configs say gelu, and mean that by a tanh."""
    legacy = spec.activation == "gelu"
    return replace(gemma(config, spec), activation="gelu_tanh" if legacy else spec.activation)


def gemma2(config: Config, spec: DecoderSpec) -> DecoderSpec:
    spec = replace(
        gemma(config, spec),
        norm_after=True,
        query_scale=number(config, "query_pre_attn_scalar", 256) ** -0.5,
        softcap=cap(config, "attn_logit_softcapping"),
        logit_softcap=cap(config, "final_logit_softcapping"),
    )
    return with_windows(config, spec, all_but_each(2, spec))


def gemma3(config: Config, spec: DecoderSpec) -> DecoderSpec:
    spec = replace(gemma2(config, spec), qk_norm="head", window=0, local=None)
    rope = rope_of_local(config, spec.head_dim, theta=number(config, "rope_local_base_freq", 1e4))
    every = count(config, "sliding_window_pattern", 6)
    # it is told of sequences that its scaling has stretched already
    spec = replace(spec, max_positions=count(config, "max_position_embeddings", 131072))
    return with_windows(config, spec, all_but_each(every, spec), rope)


GEMMA = Family(
    "GemmaForCausalLM", mlp_bias=False, head_dim=256, tied=True, default_activation="gelu_tanh",
    keys={"hidden_activation": "hidden_act"}, traits=gemma1,
    refuses=("use_bidirectional_attention",),
)  # fmt: skip
GEMMA2 = replace(GEMMA, architecture="Gemma2ForCausalLM", traits=gemma2)
GEMMA3 = replace(GEMMA, architecture="Gemma3ForCausalLM", theta=1e6, traits=gemma3)
