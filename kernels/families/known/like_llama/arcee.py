"""AFM 4.5B of Arcee: Llama whose MLP has no gates, and squares what is above 0."""

from dataclasses import replace

from raylax.kernels.families.base import Family
from raylax.kernels.families.values import Config
from raylax.kernels.spec import DecoderSpec


def arcee(_: Config, spec: DecoderSpec) -> DecoderSpec:
    return replace(spec, gated=False)


ARCEE = Family("ArceeForCausalLM", default_eps=1e-5, default_activation="relu2", traits=arcee)
