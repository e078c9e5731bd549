"""Granite 3: Llama with a scale at each end, in attention and on what is added; those of Granite 4
that are the same, by the name of its hybrids."""

from dataclasses import replace

from raylax.kernels.errors import CheckpointError
from raylax.kernels.families.base import Family
from raylax.kernels.families.values import Config, count, number, whole
from raylax.kernels.families.weight_table import Layout, of_layer
from raylax.kernels.spec import DecoderSpec, Rope


def granite(config: Config, spec: DecoderSpec) -> DecoderSpec:
    return replace(
        spec,
        embed_scale=number(config, "embedding_multiplier", 1.0),
        residual_scale=number(config, "residual_multiplier", 1.0),
        query_scale=number(config, "attention_multiplier", 1.0),
        logit_scale=1 / number(config, "logits_scaling", 1.0),
    )


GRANITE = Family("GraniteForCausalLM", traits=granite)


def granite4(config: Config, spec: DecoderSpec) -> DecoderSpec:
    kinds = config.get("layer_types") or ["mamba"]
    if not isinstance(kinds, list) or any("attention" not in str(one) for one in kinds):
        raise CheckpointError(
            "config.json: layers with Mamba (layer_types) are not supported in "
            f"{spec.architecture}, only those that attend"
        )
    if whole(config, "num_local_experts", 8):
        raise CheckpointError(
            f"config.json: num_local_experts must be 0 in {spec.architecture}, "
            f"found {config.get('num_local_experts', 8)!r}"
        )
    turned = config.get("position_embedding_type") == "rope"
    rope = spec.rope if turned else Rope(0)
    units = count(config, "shared_intermediate_size", 1024)
    return granite(config, replace(spec, rope=rope, intermediate=units))


GRANITE4 = replace(
    GRANITE, architecture="GraniteMoeHybridForCausalLM", output_bias=None, mlp_bias=False,
    traits=granite4,
    layout=Layout({
        "w_gate_up": of_layer("shared_mlp.input_linear.weight"),
        "w_down": of_layer("shared_mlp.output_linear.weight"),
    }),
)  # fmt: skip
