"""Qwen2 and Qwen2.5: Llama with a bias on queries, keys and values, and none on the output."""

from raylax.kernels.families.base import Family

QWEN2 = Family("Qwen2ForCausalLM", qkv_bias=True, output_bias=False, mlp_bias=False)
