"""ERNIE 4.5: Llama with neighbouring dims rotated; with experts, an MLP beside them, and a number
for each by which it is raised where some are chosen."""

from dataclasses import replace

from raylax.kernels.families.base import Family
from raylax.kernels.families.experts import experts_of, with_experts
from raylax.kernels.families.known.glm import SHARED
from raylax.kernels.families.values import Config, count, whole
from raylax.kernels.families.weight_table import Layout, of_layer
from raylax.kernels.spec import DecoderSpec


def ernie_moe(config: Config, spec: DecoderSpec) -> DecoderSpec:
    experts = experts_of(config, "moe_intermediate_size", normalised=True)
    shared = experts.intermediate * whole(config, "moe_num_shared_experts", 2)
    every = count(config, "moe_layer_interval", 1)
    first, last = whole(config, "moe_layer_start_index", 1), config.get("moe_layer_end_index")
    end = spec.layers if last in (None, -1) else whole(config, "moe_layer_end_index", 0) + 1
    sparse = {layer for layer in range(first, min(end, spec.layers)) if (layer + 1) % every == 0}
    dense = set(range(spec.layers)) - sparse
    return with_experts(config, spec, replace(experts, corrected=True), shared, dense)


ERNIE = Family(
    "Ernie4_5ForCausalLM", qkv_bias=False, output_bias=False, mlp_bias=False, head_dim=128,
    neighbours=True, theta=5e5, default_eps=1e-5, tied=True, refuses=("use_bias",),
)  # fmt: skip
ERNIE_MOE = replace(
    ERNIE, architecture="Ernie4_5_MoeForCausalLM", head_dim=None, traits=ernie_moe,
    keys={"moe_num_experts": "num_experts", "moe_k": "num_experts_per_tok"},
    layout=Layout({
        **SHARED.elsewhere,
        "b_correction": of_layer("mlp.moe_statics.e_score_correction_bias"),
    }, transposed=frozenset({"b_correction"})),
    in_gguf=SHARED,
)  # fmt: skip
