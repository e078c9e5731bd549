"""CWM (https://arxiv.org/abs/2510.02387): Llama 3, three of four layers of which see a window."""

from raylax.kernels.families.base import Family
from raylax.kernels.families.layers import with_windows
from raylax.kernels.families.values import Config
from raylax.kernels.spec import DecoderSpec


def cwm(config: Config, spec: DecoderSpec) -> DecoderSpec:
    windows = config if "sliding_window" in config else {**config, "sliding_window": 8192}
    return with_windows(windows, spec, tuple(layer for layer in range(spec.layers) if layer % 4))


CWM = Family(
    "CwmForCausalLM", qkv_bias=False, output_bias=False, head_dim=128, default_eps=1e-5,
    theta=1e6, traits=cwm,
)  # fmt: skip
