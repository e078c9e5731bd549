"""Sizes as kernels want them: a model of any size is computed as a larger one, of which the rest is
zeros.

Zeros stay zeros through every operator, and change no sum, no largest magnitude and so no scale of
what is quantised. What a mean or a softmax divides by remains the model's own. A head is padded
behind each of its halves, for rotation pairs a dim with the one half a head further. The table of
weights (`raylax.kernels.families.weight_table`) reads those of a checkpoint where they belong.
"""

from dataclasses import dataclass, replace

from raylax.kernels.spec import DecoderSpec


@dataclass(frozen=True, slots=True)
class Multiples:
    """What sizes are rounded up to. Those of heads and of the MLP are even."""

    hidden: int
    head_dim: int
    intermediate: int


def laid_out(spec: DecoderSpec, to: Multiples) -> DecoderSpec:
    """The sizes that are computed; the same spec where nothing is padded."""
    own = unpadded(spec)
    hidden, head_dim = up(own.hidden, to.hidden), up(own.head_dim, to.head_dim)
    intermediate = up(own.intermediate, to.intermediate)
    return replace(
        own,
        hidden=hidden,
        head_dim=head_dim,
        intermediate=intermediate,
        hidden_padding=hidden - own.hidden,
        head_padding=head_dim - own.head_dim,
        mlp_padding=intermediate - own.intermediate,
    )


def unpadded(spec: DecoderSpec) -> DecoderSpec:
    """The model's own sizes."""
    return replace(
        spec,
        hidden=spec.own_hidden,
        head_dim=spec.own_head_dim,
        intermediate=spec.own_intermediate,
        hidden_padding=0,
        head_padding=0,
        mlp_padding=0,
    )


def up(size: int, multiple: int) -> int:
    """The least multiple that has room for a size."""
    return -(-size // multiple) * multiple
