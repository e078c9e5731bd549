"""MiMo 7B: Qwen2 that brings a layer which predicts one token more, see
`raylax.kernels.heads.mtp`."""

from raylax.kernels.families.base import Family

MIMO = Family(
    "MiMoForCausalLM",
    qkv_bias=True,
    output_bias=False,
    mlp_bias=False,
    beside="model.mtp_layers.",
)
