"""ERNIE 4.5: Llama with neighbouring dims rotated."""

from raylax.kernels.families.base import Family

ERNIE = Family(
    "Ernie4_5ForCausalLM", qkv_bias=False, output_bias=False, mlp_bias=False, head_dim=128,
    neighbours=True, theta=5e5, default_eps=1e-5, tied=True, refuses=("use_bias",),
)  # fmt: skip
