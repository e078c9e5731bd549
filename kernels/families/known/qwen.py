"""Qwen 1.5, 2, 2.5 and 3, and MiMo 7B: Llama with a bias on queries, keys and values, or with a
norm of each query and key instead (https://arxiv.org/abs/2505.09388)."""

from dataclasses import replace

from raylax.kernels.families.base import Family
from raylax.kernels.families.layers import with_windows
from raylax.kernels.families.values import Config, switch, whole
from raylax.kernels.spec import DecoderSpec


def windowed(config: Config, spec: DecoderSpec) -> DecoderSpec:
    """With a window in the layers from `max_window_layers` on, if it is switched on."""
    if not switch(config, "use_sliding_window"):
        return spec
    usual = tuple(range(whole(config, "max_window_layers"), spec.layers))
    return with_windows(config, spec, usual)


def qwen3(config: Config, spec: DecoderSpec) -> DecoderSpec:
    return replace(windowed(config, spec), qk_norm="head")


QWEN2 = Family(
    "Qwen2ForCausalLM", qkv_bias=True, output_bias=False, mlp_bias=False, traits=windowed
)

MIMO = replace(QWEN2, architecture="MiMoForCausalLM", beside="model.mtp_layers.")
"""It brings a layer that predicts one token more, see `raylax.kernels.heads.mtp`."""
QWEN3 = Family("Qwen3ForCausalLM", head_dim=128, mlp_bias=False, traits=qwen3)
