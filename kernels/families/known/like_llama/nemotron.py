"""Nemotron 3 and 4, Minitron (https://arxiv.org/abs/2402.16819): layer norms whose weights lie
around 0, half of each head rotated, and an MLP without gates that squares what is above 0."""

from dataclasses import replace

from raylax.kernels.families.base import Family
from raylax.kernels.families.values import Config, switch
from raylax.kernels.spec import DecoderSpec


def nemotron(config: Config, spec: DecoderSpec) -> DecoderSpec:
    offset = 0.0 if switch(config, "norm_weights_are_whole") else 1.0  # they are in GGUF files
    return replace(spec, norm="layer", norm_bias=True, norm_offset=offset, gated=False)


NEMOTRON = Family(
    "NemotronForCausalLM", eps_key="norm_eps", default_eps=1e-5, default_activation="relu2",
    turned_share=0.5, traits=nemotron,
)  # fmt: skip
