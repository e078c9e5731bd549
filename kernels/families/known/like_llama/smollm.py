"""SmolLM3: Llama, some of whose layers do not rotate."""

from dataclasses import replace

from raylax.kernels.families.base import Family
from raylax.kernels.families.layers import flags
from raylax.kernels.families.values import Config, count
from raylax.kernels.spec import DecoderSpec, Local, Rope


def smollm3(config: Config, spec: DecoderSpec) -> DecoderSpec:
    every = count(config, "no_rope_layer_interval", 4)
    usual = [(layer + 1) % every != 0 for layer in range(spec.layers)]
    rotated = flags(config, "no_rope_layers", usual)
    still = tuple(layer for layer, turns in enumerate(rotated) if not turns)
    return replace(spec, local=Local(still, 0, Rope(0)) if still else None)


SMOLLM3 = Family(
    "SmolLM3ForCausalLM", tied=True, theta=2e6, traits=smollm3, refuses=("use_sliding_window",)
)
