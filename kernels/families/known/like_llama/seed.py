"""Seed-OSS: Llama, whose attention has biases on the way in, on the way out, or on both."""

from dataclasses import replace

from raylax.kernels.families.base import Family
from raylax.kernels.families.values import Config, switch
from raylax.kernels.spec import DecoderSpec


def seed(config: Config, spec: DecoderSpec) -> DecoderSpec:
    return replace(
        spec, qkv_bias=switch(config, "attention_bias", True),
        output_bias=switch(config, "attention_out_bias"),
    )  # fmt: skip


SEED_OSS = Family("SeedOssForCausalLM", head_dim=128, traits=seed)
