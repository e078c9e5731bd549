"""The launches of a draft head's step (https://arxiv.org/abs/2401.15077,
https://arxiv.org/abs/2503.01840), as `raylax.kernels.cpu.step.fusing` has them.

Whoever runs a step has put the features of its tokens into `features` before, where they stay: a
step that becomes a graph is run twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from raylax.kernels.cuda.sizes import filled_share
from raylax.kernels.cuda.step.exchange import Work
from raylax.kernels.cuda.step.program import Given, StepProgram, StepShape
from raylax.kernels.cuda.step.values import HALF
from raylax.kernels.cuda.step.weights.places import Address, DeviceMatrix
from raylax.kernels.cuda.variants import heads, pointwise
from raylax.kernels.cuda.variants.base import Variant


@dataclass(frozen=True, slots=True)
class FusionWeights:
    """What a head has beside a decoder of one layer. Of norms that there are not, the address is
    0."""

    fc: DeviceMatrix
    norm_e: Address
    norm_h: Address
    norm_base: Address
    places: Address
    """By token of the base the row of the logits that it has; 0: the head names all of them."""


class HeadProgram(StepProgram):
    """Makes the launches of a head's steps."""

    def __init__(self, given: Given, fusing: FusionWeights) -> None:
        super().__init__(*given)
        fusion = self._spec.fusion
        assert fusion is not None and self._exchange is None, "a head is one rank's"
        self._fusion, self._fusing = fusion, fusing
        self._how = self._precision, self._spec.hidden, fusion

    def features(self, tokens: int) -> Iterator[Work]:
        """What the base has kept of so many tokens, in `tapped`, becomes `features`."""
        at, fusion, x = self._at, self._fusion, self._at["tapped"]
        variant = heads.of_feature(*self._how)
        if fusion.into == "residual":
            eps, norm = fusion.base_eps * filled_share(self._spec), self._fusing.norm_base
            yield self._take(variant, tokens, x, at["normed"], norm, at["features"], eps=eps)
            return
        pieces = heads.pieces(fusion.tapped)
        width = fusion.tapped // pieces
        yield self._take(variant, tokens * pieces, x, at["joined"], width=width)
        yield from self._through_matrix(tokens, at["features"])

    def _all(self, shape: StepShape) -> Iterator[Work]:
        s, at, fusion, fusing = self._spec, self._at, self._fusion, self._fusing
        tokens, rows, whole = shape.tokens, shape.rows, 2 * s.hidden
        yield self._kernel(pointwise.embed(self._precision, s.hidden)).launch(
            (tokens,), at["ids"], self._weights.embed, at["embedded"], s.hidden, fusion.vocab
        )
        second = at["joined"] + s.hidden * HALF
        e, h = (second, at["joined"]) if fusion.feature_first else (at["joined"], second)
        embedding, feature = heads.of_embedding(*self._how), heads.of_residual(*self._how)
        yield self._take(embedding, tokens, at["embedded"], e, fusing.norm_e, stride=whole)
        yield self._take(
            feature, tokens, at["features"], h, fusing.norm_h, at["hidden"], stride=whole
        )
        x = at["joined"]
        if fusion.into == "residual":
            yield from self._through_matrix(tokens, at["hidden"])
            x = at["normed"]
        (layer,) = self._weights.layers
        parts = (yield from self._layer(layer, x, shape)).parts
        norm = self._weights.norm_f.weight
        yield self._kernel(heads.of_end(*self._how, parts)).launch(
            (rows,),
            *(at["hidden"], at["parts"], norm, at["rows"], at["top"]),
            *(at["states"], tokens, s.hidden, self._eps),
        )
        yield from self._logits(rows)
        yield from self._draw(rows)

    def _through_matrix(self, tokens: int, to: Address) -> Iterator[Work]:
        """`joined` becomes features, or the residual stream and what attention reads of that."""
        at, fc = self._at, self._fusing.fc
        parts, product = self._product(fc, at["joined"], tokens, at["parts"])
        yield product
        (layer,) = self._weights.layers
        variant = heads.of_matrix(*self._how, parts)
        norm = layer.norm_1.weight
        yield self._take(variant, tokens, at["parts"], at["normed"], norm, to, bias=fc.bias)

    def _take(
        self,
        variant: Variant,
        rows: int,
        x: Address,
        y: Address,
        norm: Address = 0,
        kept: Address = 0,
        bias: Address = 0,
        width: int = 0,
        stride: int = 0,
        eps: float = 0.0,
    ) -> Work:
        """Rows that are as wide as the residual stream, and follow each other in y, where nothing
        else is said."""
        width = width or self._spec.hidden
        return self._kernel(variant).launch(
            (rows,),
            *(x, bias, norm, kept, y, rows, width, stride or width, eps or self._eps),
        )

    def _logits(self, rows: int) -> Iterator[Work]:
        """Of all tokens that the base has."""
        s, at, places = self._spec, self._at, self._fusing.places
        if not places:
            yield from super()._logits(rows)
            return
        yield self._product(self._weights.head, at["top"], rows, at["named"])[1]
        blocks = -(-s.padded_drawn // heads.BLOCK)
        yield self._kernel(heads.spread()).launch(
            (rows, blocks), at["named"], places, at["logits"], s.padded_vocab, s.padded_drawn
        )
