"""Machine code that draws tokens: one of each kernel for all chips, models and batches."""

from raylax.kernels.cuda.variants.base import Variant, signature

BLOCK = 1024
WIDE = 4096
BITS = 4


def variants() -> list[Variant]:
    """`adjust`, then `sample`: in this order on a step's logits."""
    adjusted = "logits:f starts:j ends:j ids:j biases:f counts:j repetitions:f presences:f"
    rule = "scales:f top_ks:j top_ps:d leasts:l seeds:l choices:j positions:j"
    return [
        Variant(
            "adjust", "sampler:adjust", signature(f"{adjusted} frequencies:f stride:i"),
            {"BLOCK": 256}, 4, 2, ("stride",),
        ),
        Variant(
            "sample", "sampler:sample",
            signature(f"logits:f {rule} tokens:j largest:f kept:j vocab:i stride:i"),
            {"BLOCK": BLOCK, "WIDE": WIDE, "BITS": BITS}, 16, 2, ("stride",),
        ),
    ]  # fmt: skip
