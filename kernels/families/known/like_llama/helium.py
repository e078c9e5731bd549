"""Helium 1 of Kyutai: Llama with neighbouring dims rotated."""

from raylax.kernels.families.base import Family

HELIUM = Family(
    "HeliumForCausalLM", output_bias=False, head_dim=128, neighbours=True, default_eps=1e-8
)
