"""Mistral 7B and its kin: Llama with a sliding window in some versions, never a bias."""

from dataclasses import replace

from raylax.kernels.families.base import Family
from raylax.kernels.families.layers import with_windows
from raylax.kernels.families.values import Config
from raylax.kernels.spec import DecoderSpec

MISTRAL = Family(
    "MistralForCausalLM",
    qkv_bias=False,
    output_bias=False,
    mlp_bias=False,
    sliding_window=True,
    default_window=4096,
)


def ministral(config: Config, spec: DecoderSpec) -> DecoderSpec:
    return with_windows(config, spec, tuple(range(spec.layers)))


MINISTRAL = replace(
    MISTRAL, architecture="MinistralForCausalLM", sliding_window=False, traits=ministral
)
