"""Granite 3: Llama with a scale at each end, in attention and on what is added."""

from dataclasses import replace

from raylax.kernels.families.base import Family
from raylax.kernels.families.values import Config, number
from raylax.kernels.spec import DecoderSpec


def granite(config: Config, spec: DecoderSpec) -> DecoderSpec:
    return replace(
        spec,
        embed_scale=number(config, "embedding_multiplier", 1.0),
        residual_scale=number(config, "residual_multiplier", 1.0),
        query_scale=number(config, "attention_multiplier", 1.0),
        logit_scale=1 / number(config, "logits_scaling", 1.0),
    )


GRANITE = Family("GraniteForCausalLM", traits=granite)
