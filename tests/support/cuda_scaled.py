"""The plainest kernel, where any will do."""

from raylax.kernels.cuda.variants.base import Variant, signature

SCALED = Variant(
    "scaled",
    "tests.support.cuda_mistakes:scaled",
    signature("x:k y:f factor:s n:i"),
    {"BLOCK": 256},
    warps=2,
    aligned=("n",),
)
"""y = x * factor."""
