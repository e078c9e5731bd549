"""Models of text inside of models that read images, too: the text alone is read here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from raylax.kernels.errors import CheckpointError
from raylax.kernels.families.values import Config

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Nested:
    """What one architecture says of its text."""

    family: str
    """The architecture of it."""
    model_type: str
    """What its config must say: newer models of the same name have others inside."""
    usual: Config = field(default_factory=dict)
    """What is meant where it does not say."""
    beside: bool = False
    """Whether older files have it beside what they say of images."""


NESTED = {
    "Gemma3ForConditionalGeneration": Nested("Gemma3ForCausalLM", "gemma3_text", {
        "vocab_size": 262208, "hidden_size": 2304, "intermediate_size": 9216,
        "num_hidden_layers": 26, "num_attention_heads": 8, "num_key_value_heads": 4,
        "head_dim": 256, "max_position_embeddings": 131072, "sliding_window": 4096,
    }),
    "Mistral3ForConditionalGeneration": Nested("MistralForCausalLM", "mistral"),
    "Qwen2VLForConditionalGeneration": Nested("Qwen2ForCausalLM", "qwen2_vl_text", beside=True),
    "Qwen2_5_VLForConditionalGeneration": Nested(
        "Qwen2ForCausalLM", "qwen2_5_vl_text", {"rms_norm_eps": 1e-5}, beside=True
    ),
    "Qwen3VLForConditionalGeneration": Nested("Qwen3ForCausalLM", "qwen3_vl_text"),
}  # fmt: skip
INSIDE = "text_config"
OF_ALL = (
    "quantization_config", "torch_dtype", "dtype", "tie_word_embeddings", "bos_token_id",
    "eos_token_id", "pad_token_id",
)  # fmt: skip
"""Keys that may stand beside it instead."""
PREFIXES = {
    "language_model.model.": "model.", "model.language_model.": "model.", "language_model.": "",
}  # fmt: skip
"""How the names of its tensors begin, in older files and newer ones, and how elsewhere."""
OTHERS = ("vision_tower.", "multi_modal_projector.", "visual.")
"""How those of tensors do that are for images."""


def nested_in(config: Config) -> Nested | None:
    """What is read of a model that reads images, too; None: it is one of text."""
    named = config.get("architectures")
    first = named[0] if isinstance(named, list) and named else None
    return NESTED.get(first) if isinstance(first, str) else None


def text_config(config: Config) -> Mapping[str, Any]:
    """The config of a model's text, as if it stood by itself. Raises CheckpointError."""
    if (nested := nested_in(config)) is None:
        return config
    if nested.beside and INSIDE not in config:
        return {**nested.usual, **config, "architectures": [nested.family]}
    inside = config.get(INSIDE)
    if not isinstance(inside, dict):
        raise CheckpointError(f"config.json: {INSIDE} must be an object, found {inside!r}")
    if (found := inside.get("model_type", nested.model_type)) != nested.model_type:
        raise CheckpointError(
            f"config.json: {INSIDE}.model_type must be {nested.model_type}, found {found!r}"
        )
    beside = {key: config[key] for key in OF_ALL if key in config}
    return {**nested.usual, **beside, **inside, "architectures": [nested.family]}


def text_tensors(found: Mapping[str, T]) -> dict[str, T]:
    """Those of the text, by the names that they have where it stands by itself."""
    own = {}
    for name, one in found.items():
        if not name.removeprefix("model.").startswith(OTHERS):
            before = next((prefix for prefix in PREFIXES if name.startswith(prefix)), "")
            own[PREFIXES.get(before, "") + name.removeprefix(before)] = one
    return own
