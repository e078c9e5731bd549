"""Machine code of products with weights: by format, tile and chip. Sizes are arguments of a launch:
it serves every model.

A tile takes so many tokens at once. Narrow ones give each segment of a matrix programs of its own;
a batch too large for them has programs enough, which walk the segments and write their sum.
"""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from raylax.kernels.cuda.variants.base import PRECISIONS, Variant, signature
from raylax.kernels.cuda.variants.product_tiles import TILES, Tile
from raylax.kernels.errors import CompileError


class Digits(NamedTuple):
    """How weights of few bits are packed: the constants of `quantised.py`."""

    bits: int
    words: int
    span: int
    floats: bool = False

    @property
    def constants(self) -> dict[str, int | bool]:
        """As the kernels call them."""
        return {"WORDS": self.words, "SPAN": self.span, "BITS": self.bits, "FLOAT": self.floats}


class Matrix(NamedTuple):
    """Weights as a product sees them."""

    features: int
    depth: int
    segments: int = 1


DIGITS = {
    "q4_g32": Digits(4, 16, 2),
    "q4_g128": Digits(4, 16, 8),
    "q8_g32": Digits(8, 32, 1),
    "fp8_g128": Digits(8, 32, 4, floats=True),
}
"""Packed formats, as they are named in `cuda/formats`, without the precision."""
ALIGNED = ("features", "depth")
"""Multiples of 16: so rows of activations and of weights begin where 16 bytes are read at once."""
BLOCK = 128
"""Inputs of packed weights that lie together."""
STEP = 16
"""Products that a matrix unit adds at once, at most."""
GROUP = 8
"""Tiles of tokens that share a tile of weights while it is in the cache."""


def variants(chip: int, precision: str, formats: tuple[str, ...] = ()) -> list[Variant]:
    """All of a chip, for weights in the precision of the activations and in packed formats. Raises
    CompileError for a chip that there is none for."""
    if chip not in TILES:
        raise CompileError(f"chips are {', '.join(map(str, TILES))}, found {chip}")
    made = [*linears(chip, precision), *gateds(chip, precision)]
    for name in formats:
        made += packed(chip, precision, name, DIGITS[name])
    return made


def ways(chip: int, kind: str, walks: bool) -> Iterator[tuple[Tile, bool, str, int | None]]:
    """(tile, whether it walks segments, the end of its name, the most tokens) of a kind of product.
    The widest tile alone may walk."""
    tiles = TILES[chip][kind]
    for tile in tiles:
        most = None if tile is tiles[-1] else tile.tokens
        yield tile, False, f"m{tile.tokens}", most
        if walks and most is None:
            yield tile, True, f"m{tile.tokens}_walk", None


def linears(chip: int, precision: str) -> Iterator[Variant]:
    """`linear`, and of the widest tile one that walks the segments."""
    types = signature("x:k w:k bias:k y:f tokens:i features:i depth:i segments:i", precision)
    for tile, walk, end, most in ways(chip, "linear", True):
        yield Variant(
            f"linear_{precision}_{end}", "matmul:linear", types,
            sizes(tile) | {"BK": tile.inputs, "WALK": walk},
            tile.warps, tile.stages, ALIGNED, most,
        )  # fmt: skip


def gateds(chip: int, precision: str) -> Iterator[Variant]:
    """`gated`."""
    types = signature("x:k w:k y:k tokens:i features:i depth:i", precision)
    for tile, _, end, most in ways(chip, "gated", False):
        yield Variant(
            f"gated_{precision}_{end}", "matmul:gated", types, sizes(tile) | {"BK": tile.inputs},
            tile.warps, tile.stages, ALIGNED, most,
        )  # fmt: skip


def packed(chip: int, precision: str, name: str, digits: Digits) -> Iterator[Variant]:
    """`linear_q`, `gated_q` and `dequantise` of a format."""
    layout = digits.constants
    form = f"{name}_{precision}"
    linear = "x:k words:j scales:k bias:k y:f tokens:i features:i depth:i segments:i zero:i"
    gated = "x:k words:j scales:k y:k tokens:i features:i depth:i zero:i"
    for tile, walk, end, most in ways(chip, "packed linear", True):
        yield Variant(
            f"linear_{form}_{end}", "quantised:linear_q", signature(linear, precision),
            layout | sizes(tile) | {"WALK": walk}, tile.warps, tile.stages, ALIGNED, most,
        )  # fmt: skip
    for tile, _, end, most in ways(chip, "packed gated", False):
        yield Variant(
            f"gated_{form}_{end}", "quantised:gated_q", signature(gated, precision),
            layout | sizes(tile), tile.warps, tile.stages, ALIGNED, most,
        )  # fmt: skip
    yield Variant(
        f"dequantise_{form}", "quantised:dequantise",
        signature("words:j scales:k w:k features:i depth:i zero:i", precision),
        layout | {"BN": 64}, 4, 3, ALIGNED,
    )  # fmt: skip


def sizes(tile: Tile) -> dict[str, int | bool]:
    """The constants that all products have."""
    return {"BM": tile.tokens, "BN": tile.rows, "GROUP": GROUP}


@cache
def by_kernel(chip: int, precision: str) -> dict[str, list[Variant]]:
    """All of a chip by what they compute: `linear_bf16`, `gated_q4_g32_bf16`, `dequantise_...`."""
    found: dict[str, list[Variant]] = {}
    for variant in variants(chip, precision, tuple(DIGITS)):
        found.setdefault(kernel_of(variant), []).append(variant)
    return found


def kernel_of(variant: Variant) -> str:
    """What a variant computes: its name without the tile."""
    return variant.name.split("_m")[0]


def choose(chip: int, kernel: str, tokens: int, matrix: Matrix) -> Variant:
    """The narrowest tile that takes the tokens at once, else the widest: of the variants that walk
    segments if the matrix has some. `kernel`: `linear_` or `gated_` and a format's name. Raises
    CompileError for a kernel that there is not, or a matrix that it cannot multiply."""
    fit = checked(chip, kernel, matrix)
    for variant in fit:
        if variant.most is not None and tokens <= variant.most:
            return variant
    walk = matrix.segments > 1
    return next(v for v in fit if v.most is None and v.constants.get("WALK", False) == walk)


@cache
def checked(chip: int, kernel: str, matrix: Matrix) -> list[Variant]:
    """A kernel's variants, if they can multiply this matrix. Raises CompileError."""
    precision = kernel.rpartition("_")[2]
    known = by_kernel(chip, precision) if precision in PRECISIONS else {}
    if kernel not in known:
        raise CompileError(f"there is no product {kernel} for chip {chip}")
    found, (features, depth, segments) = known[kernel], matrix
    part = BLOCK if segments > 1 and "WORDS" in found[0].constants else STEP
    if features % STEP or depth % (part * segments):
        raise CompileError(
            f"{kernel} multiplies matrices whose rows are multiples of {STEP} and whose inputs are "
            f"multiples of {part * segments}, {part} in each of {segments} segments; found "
            f"{features} rows of {depth}"
        )
    if segments > 1 and kernel.startswith("gated"):
        raise CompileError(f"{kernel} has no segments, found {segments}")
    return found


def grid(variant: Variant, tokens: int, matrix: Matrix) -> tuple[int, int]:
    """Programs of a launch; of those along y each writes a part of the result."""
    sizes = variant.constants
    if "BM" not in sizes:  # dequantise: tiles of rows, blocks
        return -(-matrix.features // sizes["BN"]), -(-matrix.depth // BLOCK)
    tiles = -(-tokens // sizes["BM"]) * -(-matrix.features // sizes["BN"])
    return tiles, parts(variant, matrix)


def most_apart(chip: int, kernel: str) -> int:
    """The most tokens for which the segments of a product have programs, and parts, of their own.
    `kernel`: `linear_` and a format's name."""
    found = by_kernel(chip, kernel.rpartition("_")[2])[kernel]
    return max(variant.most for variant in found if variant.most is not None)


def parts(variant: Variant, matrix: Matrix) -> int:
    """How many [tokens, features] a product leaves for its reader to add."""
    return 1 if variant.constants.get("WALK", False) else matrix.segments
