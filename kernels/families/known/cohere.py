"""Command R and Aya of Cohere: attention and MLP beside each other behind one layer norm without a
bias, neighbouring dims rotated; from Command R7B on every fourth layer sees all and rotates none,
the others see a window."""

from dataclasses import replace

from raylax.kernels.families.base import Family
from raylax.kernels.families.layers import all_but_each, with_windows
from raylax.kernels.families.values import Config, number
from raylax.kernels.spec import DecoderSpec


def cohere(config: Config, spec: DecoderSpec) -> DecoderSpec:
    return replace(
        spec, norm="layer", parallel=True, shared_norm=True,
        logit_scale=number(config, "logit_scale", 0.0625),
    )  # fmt: skip


def cohere2(config: Config, spec: DecoderSpec) -> DecoderSpec:
    windows = config if "sliding_window" in config else {**config, "sliding_window": 4096}
    still = replace(cohere(config, spec), rope=replace(spec.rope, theta=0.0))
    return with_windows(windows, still, all_but_each(4, spec), spec.rope)


COHERE = Family(
    "CohereForCausalLM", mlp_bias=False, tied=True, eps_key="layer_norm_eps", default_eps=1e-5,
    neighbours=True, traits=cohere, refuses=("use_qk_norm",),
)  # fmt: skip
COHERE2 = replace(COHERE, architecture="Cohere2ForCausalLM", traits=cohere2)
