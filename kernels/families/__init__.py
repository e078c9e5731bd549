"""The model families we know, and where each weight of theirs lies in a checkpoint."""

from collections.abc import Iterator

from raylax.kernels.errors import CheckpointError
from raylax.kernels.families.base import Config, read_config
from raylax.kernels.families.llama import LLAMA
from raylax.kernels.families.mistral import MISTRAL
from raylax.kernels.families.qwen2 import QWEN2
from raylax.kernels.spec import DecoderSpec

FAMILIES = {family.architecture: family for family in (LLAMA, MISTRAL, QWEN2)}


def spec_of(config: Config) -> DecoderSpec:
    """The DecoderSpec of a config.json; an unknown architecture is an error that names ours."""
    named = config.get("architectures") or ["none"]
    if named[0] not in FAMILIES:
        raise CheckpointError(
            f"config.json: architecture {named[0]} is not supported; supported are "
            + ", ".join(sorted(FAMILIES))
        )
    return read_config(FAMILIES[named[0]], config)


def weights_of(spec: DecoderSpec) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every tensor that the checkpoint of such a model must hold, with its shape."""
    yield "model.embed_tokens.weight", (spec.vocab, spec.hidden)
    yield "model.norm.weight", (spec.hidden,)
    if not spec.tied_embeddings:
        yield "lm_head.weight", (spec.vocab, spec.hidden)
    q, kv = spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim
    for layer in range(spec.layers):
        at = f"model.layers.{layer}."
        for name, rows in (("q", q), ("k", kv), ("v", kv)):
            yield f"{at}self_attn.{name}_proj.weight", (rows, spec.hidden)
            if spec.qkv_bias:
                yield f"{at}self_attn.{name}_proj.bias", (rows,)
        yield f"{at}self_attn.o_proj.weight", (spec.hidden, q)
        if spec.output_bias:
            yield f"{at}self_attn.o_proj.bias", (spec.hidden,)
        yield f"{at}mlp.gate_proj.weight", (spec.intermediate, spec.hidden)
        yield f"{at}mlp.up_proj.weight", (spec.intermediate, spec.hidden)
        yield f"{at}mlp.down_proj.weight", (spec.hidden, spec.intermediate)
        yield f"{at}input_layernorm.weight", (spec.hidden,)
        yield f"{at}post_attention_layernorm.weight", (spec.hidden,)
