"""The plainest kernel, where any will do."""

from dataclasses import replace

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
EARLY = replace(SCALED, name="early", overlapped=True)
"""The same, which may be started before what it waits for has ended."""
