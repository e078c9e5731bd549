"""The models whose kernels are compiled for every chip, to look at their machine code."""

from raylax.kernels.cuda.cubins.chips import Chip
from raylax.kernels.cuda.pages import KV
from raylax.kernels.cuda.variants.base import Variant
from raylax.kernels.cuda.variants.table import of_model, shared
from raylax.kernels.spec import DecoderSpec, Rope


def spec(
    hidden: int, heads: int, kv_heads: int, dim: int, qkv_bias: bool = False, output: bool = False
) -> DecoderSpec:
    """A decoder of this shape; no kernel knows the rest of it."""
    return DecoderSpec(
        architecture="LlamaForCausalLM",
        hidden=hidden,
        layers=2,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=dim,
        intermediate=4 * hidden,
        vocab=32000,
        rope=Rope(10000.0),
        norm_eps=1e-5,
        max_positions=8192,
        tied_embeddings=False,
        qkv_bias=qkv_bias,
        output_bias=output,
    )


MODELS: tuple[tuple[DecoderSpec, str, KV], ...] = (
    (spec(4096, 32, 8, 128), "bf16", "plain"),  # Llama 3.1 8B
    (spec(4096, 32, 8, 128), "bf16", "int8"),
    (spec(4096, 32, 8, 128), "bf16", "fp8"),
    (spec(4096, 32, 32, 128), "f16", "plain"),  # Llama 2 7B
    (spec(2048, 32, 8, 64), "f16", "plain"),  # Llama 3.2 1B
    (spec(3584, 28, 4, 128, qkv_bias=True, output=True), "bf16", "plain"),  # Qwen2 7B, and a bias
    (spec(896, 14, 2, 64, qkv_bias=True), "bf16", "plain"),  # Qwen2 0.5B
    (spec(3072, 16, 8, 256), "bf16", "plain"),  # the widest heads
    (spec(256, 4, 2, 64), "bf16", "plain"),  # the demo model
)


def shipped(chip: Chip) -> list[Variant]:
    """What these models have of their own, and what all share."""
    own = [one for model in MODELS for one in of_model(model[0], chip.number, *model[1:])]
    return list({one.name: one for one in [*own, *shared(chip.number)]}.values())
