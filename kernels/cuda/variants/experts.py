"""Machine code of experts: what chooses and orders them for a model, and their products, which
serve every model whose units are alike."""

from collections.abc import Iterator
from typing import NamedTuple

from raylax.kernels.cuda.variants.base import Variant, signature
from raylax.kernels.cuda.variants.elementwise import ACTIVATIONS
from raylax.kernels.cuda.variants.pointwise import checked
from raylax.kernels.cuda.variants.product_tiles import TILES, Tile
from raylax.kernels.cuda.variants.products import ALIGNED, STEP, Digits
from raylax.kernels.cuda.variants.products import DIGITS as OF_LAYERS
from raylax.kernels.cuda.variants.segments import SEGMENTS
from raylax.kernels.errors import CompileError
from raylax.kernels.padding import up
from raylax.kernels.spec import Activation, DecoderSpec, Experts

BLOCK = 1024
"""Pairs that an expert looks at together, and numbers of a program of `blend`."""
DIGITS = {**OF_LAYERS, "fp4_g32": Digits(4, 16, 2, floats=True)}
"""Packed formats that experts may have."""
MOST_TOKENS = 64
"""Of a tile: an expert seldom has more, and wider ones spill."""
MOST_EXPERTS = 4096
"""That a program chooses among."""


class Tiling(NamedTuple):
    """How a step's pairs are laid into tiles, see `sort`."""

    rows: int
    """Of a tile."""
    per: int
    apart: int
    most: int
    """How many there may be."""

    @classmethod
    def of(cls, rows: int, pairs: int, experts: int) -> "Tiling":
        """Of so many pairs of so many experts: the fewer tiles of both ways to count them."""
        if pairs <= pairs // rows + experts:
            return cls(rows, 1, 0, pairs)
        return cls(rows, rows, 1, pairs // rows + experts)


def router_rows(experts: Experts) -> int:
    """Rows of the router's matrix: experts, and behind them the gate of the MLP beside them; whole
    steps of the matrix unit."""
    return up(experts.count + experts.shared_gate, STEP)


def tiles(chip: int, kind: str) -> list[Tile]:
    """The narrowest and the widest: what those lose that would do with less, the way of weights
    from memory hides. `kind`: `linear` or `gated`, perhaps `packed`. CompileError for a chip
    that there are none for."""
    if chip not in TILES:
        raise CompileError(f"chips are {', '.join(map(str, TILES))}, found {chip}")
    narrowest, *others = (one for one in TILES[chip][kind] if one.tokens <= MOST_TOKENS)
    return [narrowest, others[-1]]


def rows_of_tile(chip: int, form: str, tokens: int, experts: Experts) -> int:
    """Of the tiles of a step: the narrowest that takes twice what an expert has on average, or all
    tokens, else the widest. `form`: a format's name."""
    wanted = min(tokens, 2 * -(-tokens * experts.chosen // experts.count))
    made = tiles(chip, kind_of(form, "gated"))
    return next((one.tokens for one in made if one.tokens >= wanted), made[-1].tokens)


def kind_of(form: str, product: str) -> str:
    """As tiles are listed; `form` has its precision at the end."""
    return f"packed {product}" if "_" in form else product


def into_units(chip: int, form: str, activation: Activation, rows: int) -> Variant:
    """The products of gates and of what they gate, and units out of both."""
    tile, name = tile_of(chip, form, "gated", rows), f"experts_into_{form}_m{rows}"
    weights, after, end, constants = layout(form, tile)
    return Variant(
        name if activation == "silu" else f"{name}_{activation}",
        f"expert_products:into_units{end}",
        signature(
            f"x:k {weights} bias:k y:k order:j tiles:j features:i depth:i chosen:i "
            f"limit:s slope:s offset:s{after}",
            precision_of(form),
        ),
        constants | {"ACTIVATION": ACTIVATIONS[activation]},
        tile.warps,
        tile.stages,
        ALIGNED,
    )


def out_of_units(chip: int, form: str, rows: int) -> Variant:
    """The product behind units."""
    tile = tile_of(chip, form, "linear", rows)
    weights, after, end, constants = layout(form, tile)
    return Variant(
        f"experts_out_{form}_m{rows}",
        f"expert_products:out_of_units{end}",
        signature(
            f"x:k {weights} bias:k y:f order:j tiles:j features:i depth:i{after}",
            precision_of(form),
        ),
        constants,
        tile.warps,
        tile.stages,
        ALIGNED,
    )


def precision_of(form: str) -> str:
    """Of the activations."""
    return checked(form.rpartition("_")[2])


def tile_of(chip: int, form: str, product: str, rows: int) -> Tile:
    """The one with so many tokens."""
    return next(one for one in tiles(chip, kind_of(form, product)) if one.tokens == rows)


def layout(form: str, tile: Tile) -> tuple[str, str, str, dict[str, int | bool]]:
    """Of weights: their arguments and the one behind all others, the end of the kernel's name, and
    its constants."""
    sizes: dict[str, int | bool] = {"BM": tile.tokens, "BN": tile.rows}
    packed = form.rpartition("_")[0]
    if not packed:
        return "w:k", "", "", sizes | {"BK": tile.inputs}
    return "words:j scales:k", " zero:i", "_q", sizes | DIGITS[packed].constants


def route(spec: DecoderSpec, experts: Experts) -> Variant:
    """After the router's product."""
    if experts.count > MOST_EXPERTS:
        raise CompileError(
            f"a router on a GPU has at most {MOST_EXPERTS} experts, found {experts.count}: serve "
            "it with --device cpu"
        )
    groups, each = experts.groups, experts.count // experts.groups
    traits = {
        "sigmoid": experts.scores == "sigmoid", "corrected": experts.corrected,
        "normalised": experts.normalised, "gated": experts.shared_gate,
    }  # fmt: skip
    kept = f"_g{groups}_{experts.groups_chosen}" if groups > 1 else ""
    return Variant(
        f"route_e{experts.count}_{experts.chosen}{kept}"
        + "".join(f"_{name}" for name, has in traits.items() if has),
        "experts:route",
        signature("logits:f correction:f slots:j experts:j shares:f gates:f stride:i scale:s"),
        {
            "COUNT": experts.count,
            "CHOSEN": experts.chosen,
            "GROUPS": groups,
            "KEPT": experts.groups_chosen,
            **{name.upper(): has for name, has in traits.items()},
            "TALL": power_of_two(groups),
            "WIDE": power_of_two(each),
            "MOST": power_of_two(experts.chosen),
        },
        1 if experts.count <= 256 else 4,
        2,
        ("stride",),
    )


def power_of_two(size: int) -> int:
    """The next one."""
    return 1 << (size - 1).bit_length()


def sort() -> Variant:
    """After `route`: one for all."""
    types = "experts:j order:j tiles:j pairs:i first:i rows:i per:i apart:i most:i"
    return Variant("sort_experts", "experts:sort", signature(types), {"BLOCK": BLOCK}, 4, 2)


def blend(experts: Experts, parts: int) -> Variant:
    """After the last product. `parts`: of the MLP beside the experts; 0: there is none."""
    gated = experts.shared_gate and parts > 0
    return Variant(
        f"blend_experts_{experts.chosen}_p{parts}" + "_gated" * gated,
        "experts:blend",
        signature("y:f experts:j shares:f gates:f parts:f tokens:i width:i first:i end:i"),
        {"PARTS": parts, "CHOSEN": experts.chosen, "GATED": gated, "BLOCK": BLOCK},
        4,
        2,
        ("width",),
    )


def of_model(spec: DecoderSpec, chip: int, form: str, shards: int = 1) -> Iterator[Variant]:
    """All of a model with experts. `form`: the name of their format; `shards`: as `table` has
    them. Raises CompileError for what no kernel is made for."""
    if (experts := spec.experts) is None:
        return
    yield route(spec, experts)
    yield sort()
    for parts in (0,) if not spec.intermediate else SEGMENTS if shards == 1 else (1,):
        yield blend(experts, parts)
    for tile in tiles(chip, kind_of(form, "gated")):
        yield into_units(chip, form, spec.activation, tile.tokens)
        yield out_of_units(chip, form, tile.tokens)
