"""What MLC calls the models that are read, and their weights, and which of these it has put
together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Shapes = Mapping[str, tuple[int, ...]]
"""Of tensors, by Hugging Face's names."""


@dataclass(frozen=True, slots=True)
class ModelType:
    """One of `model_type`."""

    architecture: str
    """In config.json."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Parts of names, and what they are elsewhere."""
    also: Mapping[str, Any] = field(default_factory=dict)
    """What its config.json says of packages alone."""
    has_window: bool = False
    """Whether `sliding_window_size` is the model's own."""


WHOLE_NORMS = {"norm_weights_are_whole": True}
GEMMA3 = ModelType("Gemma3ForCausalLM", {"language_model.": ""}, WHOLE_NORMS, has_window=True)
MODEL_TYPES = {
    "gemma": ModelType("GemmaForCausalLM", also=WHOLE_NORMS),
    "gemma2": ModelType("Gemma2ForCausalLM", also=WHOLE_NORMS),
    "gemma3": GEMMA3,
    "gemma3_text": GEMMA3,
    "internlm2": ModelType("LlamaForCausalLM", {
        "model.tok_embeddings.": "model.embed_tokens.", ".attention.wqkv.": ".self_attn.qkv_proj.",
        ".attention.wo.": ".self_attn.o_proj.", ".attention_norm.": ".input_layernorm.",
        ".ffn_norm.": ".post_attention_layernorm.", ".feed_forward.w2.": ".mlp.down_proj.",
        ".feed_forward.": ".mlp.", "output.": "lm_head.",
    }),
    "llama": ModelType("LlamaForCausalLM"),
    "mistral": ModelType("MistralForCausalLM", has_window=True),
    "mixtral": ModelType("MixtralForCausalLM", {".moe.": ".block_sparse_moe."}),
    "nemotron": ModelType("NemotronForCausalLM"),
    "olmo2": ModelType("Olmo2ForCausalLM"),
    "phi3": ModelType("Phi3ForCausalLM", {
        "transformer.embd.": "model.embed_tokens.", "transformer.norm.": "model.norm.",
        "transformer.h.": "model.layers.", ".ln.": ".input_layernorm.",
        ".mixer.out_proj.": ".self_attn.o_proj.", ".mixer.": ".self_attn.",
    }),
    "qwen2": ModelType("Qwen2ForCausalLM"),
    "qwen2_moe": ModelType("Qwen2MoeForCausalLM"),
    "qwen3": ModelType("Qwen3ForCausalLM"),
    "qwen3_moe": ModelType("Qwen3MoeForCausalLM"),
}  # fmt: skip
TOGETHER = {
    "qkv_proj": ("q_proj", "k_proj", "v_proj"), "c_attn": ("q_proj", "k_proj", "v_proj"),
    "gate_up_proj": ("gate_proj", "up_proj"),
    "moe_gate_up_proj": ("experts.{}.gate_proj", "experts.{}.up_proj"),
    "moe_down_proj": ("experts.{}.down_proj",),
    "e1_e3": ("experts.{}.w1", "experts.{}.w3"), "e2": ("experts.{}.w2",),
}  # fmt: skip
"""Modules, and those that each is made of: their rows follow each other. Of those with a place for
a number there is one for each expert."""
QUERY_BIASES = ".qkv_proj.bias", ".c_attn.bias"


def elsewhere(name: str, kind: ModelType) -> str:
    """What a parameter of MLC's would be called by Hugging Face, were nothing put together."""
    for own, other in kind.renamed.items():
        if own.startswith("."):
            name = name.replace(own, other)
        elif name.startswith(own):
            name = other + name.removeprefix(own)
    return name


def parts_of(name: str, shapes: Shapes) -> tuple[str, ...]:
    """The tensors that one is made of, in this order; itself alone if the model has it as it is."""
    module, _, end = name.rpartition(".")
    before, _, last = module.rpartition(".")
    if name in shapes or last not in TOGETHER:
        return (name,)
    return tuple(f"{before}.{part}.{end}" for part in TOGETHER[last])
