"""Sizes as kernels want them: a model of any size is computed as a larger one, of which the rest is
zeros.

Zeros stay zeros through every operator, and change no sum, no largest magnitude and so no scale of
what is quantised. What a mean or a softmax divides by remains the model's own. A head is padded
behind each of its halves, for rotation pairs a dim with the one half a head further. The table of
weights (`raylax.kernels.families.weight_table`) reads those of a checkpoint where they belong.
"""

from dataclasses import dataclass, replace

from raylax.kernels.spec import DecoderSpec, Experts, Fusion


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
        experts=own.experts and with_units(own.experts, to.intermediate),
        fusion=own.fusion and fused(own.fusion, up(own.fusion.tapped, to.hidden)),
    )


def with_units(experts: Experts, multiple: int) -> Experts:
    """The same, each of so many units or a multiple."""
    own = experts.own_intermediate
    units = up(own, multiple)
    own_dense = experts.dense_intermediate - experts.dense_padding
    dense = up(own_dense, multiple)
    return replace(
        experts,
        intermediate=units,
        padding=units - own,
        dense_intermediate=dense,
        dense_padding=dense - own_dense,
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
        experts=spec.experts and with_units(spec.experts, 1),
        fusion=spec.fusion and fused(spec.fusion, spec.fusion.tapped - spec.fusion.tapped_padding),
    )


def fused(fusion: Fusion, tapped: int) -> Fusion:
    """The same for so many numbers of the base, of which the last may be padding."""
    own = fusion.tapped - fusion.tapped_padding
    return replace(fusion, tapped=tapped, tapped_padding=tapped - own)


def up(size: int, multiple: int) -> int:
    """The least multiple that has room for a size."""
    return -(-size // multiple) * multiple
