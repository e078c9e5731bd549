"""Experts on the interpreter: routing, order and products of any format, over arrays of numpy."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from raylax.kernels.cuda.formats.base import Format, Packed
from raylax.kernels.cuda.formats.grouped import Grouped
from raylax.kernels.cuda.variants.elementwise import ACTIVATIONS
from raylax.kernels.cuda.variants.experts import Tiling, route
from raylax.kernels.spec import Activation, Experts
from tests.support.cuda_interpreter import launch
from tests.support.cuda_models import spec
from tests.support.cuda_products import known

from raylax.kernels.cuda.source import expert_products, experts  # isort: skip

Array = npt.NDArray[Any]
BLOCK = 16
"""Pairs, or numbers, that a program looks at together: in a step there are more."""


class Routed(NamedTuple):
    """Of each token."""

    experts: Array
    shares: Array
    gates: Array


class Order(NamedTuple):
    """Of pairs, and of the tiles that they are laid into."""

    order: Array
    tiles: Array


def routed(e: Experts, logits: Array, slots: list[int], correction: Array | None = None) -> Routed:
    """Of rows of logits, as the router's product leaves them; with the constants of a model."""
    tokens, stride = logits.shape
    chosen = np.full((tokens, e.chosen), -7, np.int32)
    out = Routed(chosen, np.full(chosen.shape, np.nan, np.float32), np.zeros(tokens, np.float32))
    launch(
        experts.route,
        (tokens,),
        logits=logits, correction=correction, slots=np.array(slots, np.int32), experts=out.experts,
        shares=out.shares, gates=out.gates, stride=stride, scale=e.scale,
        **route(spec(64, 4, 2, 16), e).constants,
    )  # fmt: skip
    return out


def sorted_pairs(chosen: Array, tiling: Tiling, first: int, count: int) -> Order:
    """Of the experts first .. first + count; -7 where nothing was written."""
    out = Order(np.full(chosen.size, -7, np.int32), np.full((tiling.most, 3), -7, np.int32))
    launch(
        experts.sort,
        (count,),
        experts=chosen, order=out.order, tiles=out.tiles, pairs=chosen.size, first=first,
        **tiling._asdict(), BLOCK=BLOCK,
    )  # fmt: skip
    return out


def blended(
    y: Array, found: Routed, parts: Array, beside: int, first: int, end: int, gated: bool = False
) -> Array:
    """[tokens, width]. `beside`: how many of `parts` [n, tokens, width] there are, of an MLP."""
    _, tokens, width = parts.shape
    launch(
        experts.blend,
        (tokens, -(-width // BLOCK)),
        y=y, experts=found.experts, shares=found.shares, gates=found.gates, parts=parts,
        tokens=tokens, width=width, first=first, end=end,
        PARTS=beside, CHOSEN=found.experts.shape[1], GATED=gated, BLOCK=BLOCK,
    )  # fmt: skip
    result: Array = parts[0]
    return result


class Tile(NamedTuple):
    """How the products are computed, which changes no bit; `inputs` is BK, of dense weights."""

    tokens: int = 8
    rows: int = 32
    inputs: int = 64
    fewest: bool = False
    """Whether tiles are counted by their rows."""


def tiling_of(tile: Tile, pairs: int, count: int) -> Tiling:
    """Either way to count them."""
    if tile.fewest:
        return Tiling(tile.tokens, tile.tokens, 1, pairs // tile.tokens + count)
    return Tiling(tile.tokens, 1, 0, pairs)


class Units(NamedTuple):
    """What becomes of gates and what they gate."""

    activation: Activation = "silu"
    limit: float = np.inf
    slope: float = 1.0
    offset: float = 0.0


def through_experts(
    form: Format, x: Array, into: list[Packed], out: list[Packed], chosen: Array, units: int,
    tile: Tile = Tile(),  # noqa: B008
    how: Units = Units(),  # noqa: B008
    biases: tuple[Array, Array] | None = None,
) -> tuple[Array, Array]:  # fmt: skip
    """Units [pairs, units] and rows [pairs, hidden], both in the order of pairs; NaN where nothing
    was written. `into`, `out`: the matrices of each expert."""
    count, hidden = len(into), x.shape[1]
    order = sorted_pairs(chosen, tiling := tiling_of(tile, chosen.size, count), 0, count)
    between = np.full((chosen.size, units), 0x7FFF, np.uint16).view(x.dtype)
    y = np.full((chosen.size, hidden), np.nan, np.float32)
    sizes = {"BM": tile.tokens, "BN": tile.rows, **(known(form) or {"BK": tile.inputs})}
    end, zero = ("_q", {"zero": form.zero}) if isinstance(form, Grouped) else ("", {})
    launch(
        getattr(expert_products, f"into_units{end}"),
        (tiling.most, -(-units // tile.rows)),
        x=x, **together(into), bias=biases and biases[0], y=between, order=order.order,
        tiles=order.tiles, features=units, depth=hidden, chosen=chosen.shape[1], limit=how.limit,
        slope=how.slope, offset=how.offset, **zero, **sizes,
        ACTIVATION=ACTIVATIONS[how.activation],
    )  # fmt: skip
    launch(
        getattr(expert_products, f"out_of_units{end}"),
        (tiling.most, -(-hidden // tile.rows)),
        x=between, **together(out), bias=biases and biases[1], y=y, order=order.order,
        tiles=order.tiles, features=hidden, depth=units, **zero, **sizes,
    )  # fmt: skip
    place = np.empty_like(order.order)
    place[order.order] = np.arange(chosen.size)
    return between[place], y


def together(matrices: list[Packed]) -> Packed:
    """One behind the other, as they lie on a device."""
    return {name: np.stack([one[name] for one in matrices]) for name in matrices[0]}
