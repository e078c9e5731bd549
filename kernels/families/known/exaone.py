"""EXAONE 4.0 (https://arxiv.org/abs/2507.11407): norms behind attention and MLP, none before, and
of each query and key; where some layers see a window, the others rotate nothing."""

from dataclasses import replace

from raylax.kernels.families.base import Family
from raylax.kernels.families.layers import all_but_each, with_windows
from raylax.kernels.families.values import Config
from raylax.kernels.spec import DecoderSpec


def exaone4(config: Config, spec: DecoderSpec) -> DecoderSpec:
    spec = replace(spec, norm_before=False, norm_after=True, qk_norm="head")
    if config.get("sliding_window", 4096) is None:
        return spec
    windows = config if "sliding_window" in config else {**config, "sliding_window": 4096}
    still = replace(spec, rope=replace(spec.rope, theta=0.0))
    return with_windows(windows, still, all_but_each(4, spec), spec.rope)


EXAONE4 = Family(
    "Exaone4ForCausalLM", qkv_bias=False, output_bias=False, mlp_bias=False, default_eps=1e-5,
    traits=exaone4,
)  # fmt: skip
