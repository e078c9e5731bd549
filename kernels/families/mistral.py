"""Mistral 7B and its kin: Llama with a sliding window in some versions, never a bias."""

from raylax.kernels.families.base import Family

MISTRAL = Family(
    "MistralForCausalLM",
    qkv_bias=False,
    output_bias=False,
    mlp_bias=False,
    sliding_window=True,
    default_window=4096,
)
