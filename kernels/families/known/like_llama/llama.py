"""Llama 2 and 3, and what copied their architecture, as Yi, SmolLM2 and InternLM 3 did:
https://arxiv.org/abs/2307.09288."""

from raylax.kernels.families.base import Family

LLAMA = Family("LlamaForCausalLM")
