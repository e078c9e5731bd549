"""The sizes that a CPU computes: whole groups of activations and panels of rows, 32 of each."""

from raylax.kernels.padding import Multiples, laid_out
from raylax.kernels.shards import GROUP
from raylax.kernels.spec import DecoderSpec


def cpu_sizes(spec: DecoderSpec) -> DecoderSpec:
    """A model with whole groups: halves of a head are vectors."""
    return laid_out(spec, Multiples(GROUP, GROUP, GROUP))
