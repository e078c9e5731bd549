"""The launches of a layer's experts (https://arxiv.org/abs/1701.06538): a product chooses them for
each token, rows are ordered by expert, two products compute these, and what a token's experts came
to is added up.

Grids are frozen in graphs, so they have as many tiles as experts may need at most; a program that
finds nothing in its tile ends at once.
"""

from collections.abc import Iterator
from math import inf

from raylax.kernels.cuda.device.code import Launch
from raylax.kernels.cuda.step.launches import Launches
from raylax.kernels.cuda.step.weights.places import Address, DeviceExperts, DeviceMatrix
from raylax.kernels.cuda.variants import experts
from raylax.kernels.cuda.variants.base import Variant
from raylax.kernels.cuda.variants.experts import Tiling, router_rows
from raylax.kernels.spec import DecoderSpec, Experts

INT, F32, HALF = 4, 4, 2
LEAST_ROWS = 8
"""Of a tile, on any chip."""


def value_sizes(own: DecoderSpec, e: Experts, tokens: int) -> dict[str, int]:
    """Bytes of each value between them, of at most so many tokens."""
    pairs = tokens * e.chosen
    return {
        "routed": tokens * router_rows(e) * F32,
        "experts_of": pairs * INT,
        "expert_shares": pairs * F32,
        "gates": tokens * F32,
        "order": pairs * INT,
        "expert_tiles": (pairs // LEAST_ROWS + e.count) * 3 * INT,
        "expert_units": pairs * e.intermediate * HALF,
        "of_experts": pairs * own.hidden * F32,
    }


class ExpertLaunches(Launches):
    """Makes them."""

    def of(
        self, layer: DeviceExperts, x: Address, tokens: int, y: Address, parts: int
    ) -> Iterator[Launch]:
        """What the experts of a layer add to the residual stream, of what it reads in `x`. `y`:
        where that goes, and where `parts` of the MLP beside them lie already; 0: there is none."""
        s, at, e = self._spec, self._at, self._spec.experts
        assert e is not None
        yield self._product(layer.router, x, tokens, at["routed"], layer.router.bias)[1]
        yield self._launch(
            experts.route(s, e),
            (tokens,),
            logits=at["routed"], correction=layer.correction, slots=at["slots"],
            experts=at["experts_of"], shares=at["expert_shares"], gates=at["gates"],
            stride=router_rows(e), scale=e.scale,
        )  # fmt: skip
        pairs, form = tokens * e.chosen, layer.into.format
        rows = experts.rows_of_tile(self._chip, form, tokens, e)
        tiling = Tiling.of(rows, pairs, layer.count)
        yield self._launch(
            experts.sort(),
            (layer.count,),
            experts=at["experts_of"], order=at["order"], tiles=at["expert_tiles"], pairs=pairs,
            first=layer.first, **tiling._asdict(),
        )  # fmt: skip
        into = experts.into_units(self._chip, form, s.activation, rows)
        features = e.intermediate
        yield self._tiled(
            into, layer.into, features, tiling, x, at["expert_units"],
            chosen=e.chosen, limit=e.limit or inf, slope=e.slope, offset=e.up_offset,
        )  # fmt: skip
        out = experts.out_of_units(self._chip, form, rows)
        yield self._tiled(out, layer.out, s.hidden, tiling, at["expert_units"], at["of_experts"])
        yield self._launch(
            experts.blend(e, parts),
            (tokens, -(-s.hidden // experts.BLOCK)),
            y=at["of_experts"], experts=at["experts_of"], shares=at["expert_shares"],
            gates=at["gates"], parts=y, tokens=tokens, width=s.hidden, first=layer.first,
            end=layer.first + layer.count,
        )  # fmt: skip

    def _tiled(
        self, variant: Variant, matrix: DeviceMatrix, features: int, tiling: Tiling, x: Address,
        y: Address, **more: float,
    ) -> Launch:  # fmt: skip
        """A product of experts."""
        names = ("words", "scales") if "words" in variant.types else ("w",)
        zero = dict(zip(("zero",), matrix.zero, strict=False))
        return self._launch(
            variant,
            (tiling.most, -(-features // int(variant.constants["BN"]))),
            x=x, **dict(zip(names, matrix.arrays, strict=True)), bias=matrix.bias, y=y,
            order=self._at["order"], tiles=self._at["expert_tiles"], features=features,
            depth=matrix.shape.depth, **zero, **more,
        )  # fmt: skip
