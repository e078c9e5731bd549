"""MiniMax M2: experts chosen by sigmoids, norms of all queries and keys of a token, some dims of
each head rotated."""

from dataclasses import replace

from raylax.kernels.families.base import Family
from raylax.kernels.families.experts import corrected, experts_of
from raylax.kernels.families.known.mistral import MIXTRAL
from raylax.kernels.families.values import Config, count
from raylax.kernels.families.weight_table import Layout, of_layer
from raylax.kernels.spec import DecoderSpec


def minimax(config: Config, spec: DecoderSpec) -> DecoderSpec:
    experts = corrected(config, experts_of(config, "intermediate_size", normalised=True))
    turned = count(config, "rotary_dim", spec.rope.turned or spec.head_dim)
    rope = replace(spec.rope, turned=0 if turned >= spec.head_dim else turned)
    return replace(spec, qk_norm="whole", rope=rope, experts=experts, intermediate=0)


MINIMAX_M2 = Family(
    "MiniMaxM2ForCausalLM", qkv_bias=False, output_bias=False, mlp_bias=False, head_dim=128,
    theta=5e6, traits=minimax, beside="model.layers.{layers}.",
    layout=Layout({
        **MIXTRAL.layout.elsewhere,
        "b_correction": of_layer("block_sparse_moe.e_score_correction_bias"),
    }),
)  # fmt: skip
