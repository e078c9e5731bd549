"""The sizes that a GPU computes.

A norm's kernel divides by the length of its rows, padding included: the model's own mean is larger
by a factor, which `eps` and the norm's weights make up for.
"""

from math import gcd, lcm

from raylax.kernels.cuda.formats import Quantization
from raylax.kernels.cuda.variants.pointwise import MOST_WIDTH
from raylax.kernels.cuda.variants.products import STEP
from raylax.kernels.errors import CompileError, only_on_cpu
from raylax.kernels.padding import Multiples, laid_out
from raylax.kernels.shards import GROUP
from raylax.kernels.spec import DecoderSpec

MOST_DIM = 256
"""Of attention's heads."""


def device_sizes(spec: DecoderSpec, q: Quantization) -> DecoderSpec:
    """A model whose rows begin where 16 bytes are read at once, and whose inputs are whole groups
    of its formats. Raises CompileError for what is larger than any kernel takes."""
    for name, size, most in (
        ("hidden", spec.own_hidden, MOST_WIDTH),
        ("head_dim", spec.own_head_dim, MOST_DIM),
    ):
        if size > most:
            raise CompileError(only_on_cpu(f"{name} must be at most {most} on CUDA, found {size}"))
    experts = q.experts.group if spec.experts else 1
    group = max(q.layers.group, q.head.group, experts)
    of_head = lcm(STEP, q.layers.group // gcd(q.layers.group, spec.heads))
    multiples = Multiples(max(STEP, group), of_head, max(GROUP, q.layers.group, experts))
    return laid_out(spec, multiples)


def filled_share(spec: DecoderSpec) -> float:
    """Which part of a row is not padding: the mean over all of it is as much of the model's."""
    return spec.own_hidden / spec.hidden


def filled_share_of_heads(spec: DecoderSpec) -> float:
    """The same of a head."""
    return spec.own_head_dim / spec.head_dim
