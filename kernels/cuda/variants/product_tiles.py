"""The tiles of products, by chip: what a program computes, its warps and its stages."""

from typing import NamedTuple


class Tile(NamedTuple):
    """What a program computes, and how."""

    tokens: int
    rows: int
    inputs: int
    """Of a step of its pipeline."""
    warps: int
    stages: int


PACKED = Tile(8, 64, 128, 4, 3), Tile(16, 64, 128, 4, 3), Tile(32, 64, 128, 4, 3)
SHALLOW = PACKED[0], Tile(16, 64, 128, 4, 2), Tile(32, 64, 128, 4, 2)
NARROW_MEMORY = {
    "linear": (
        Tile(8, 64, 128, 4, 4), Tile(16, 64, 128, 4, 4), Tile(32, 64, 64, 4, 4),
        Tile(64, 128, 64, 4, 3), Tile(128, 128, 32, 8, 3),
    ),
    "gated": (
        Tile(8, 64, 64, 4, 4), Tile(16, 64, 64, 4, 4), Tile(32, 64, 64, 4, 4),
        Tile(64, 64, 64, 4, 3), Tile(128, 64, 32, 8, 3),
    ),
    "packed linear": SHALLOW,
    "packed gated": SHALLOW,
}  # fmt: skip
"""Of chips with 100 KiB of shared memory. Here and on A100 products with packed weights stop at 32
tokens: those of 64 spill in some format, for operands and sums share the registers. With three
stages some spill at 16 and at 32."""
AMPERE = {
    "linear": (
        Tile(8, 64, 128, 4, 5), Tile(16, 64, 128, 4, 4), Tile(32, 64, 64, 4, 5),
        Tile(64, 128, 64, 4, 4), Tile(128, 128, 64, 8, 3),
    ),
    "gated": (
        Tile(8, 64, 64, 4, 5), Tile(16, 64, 64, 4, 4), Tile(32, 64, 64, 4, 5),
        Tile(64, 64, 64, 4, 4), Tile(128, 64, 64, 8, 3),
    ),
    "packed linear": (*PACKED[:2], Tile(32, 64, 128, 8, 3)),
    "packed gated": (*PACKED[:2], Tile(32, 64, 128, 4, 2)),
}  # fmt: skip
"""Of A100, where linear ones of 32 tokens spill with 4 warps: with two stages in one format, with
three in others."""
HOPPER = {
    "linear": (
        Tile(8, 64, 128, 4, 5), Tile(16, 64, 128, 4, 5), Tile(32, 64, 128, 4, 4),
        Tile(64, 128, 64, 4, 4), Tile(128, 128, 64, 8, 4),
    ),
    "gated": (
        Tile(8, 64, 64, 4, 5), Tile(16, 64, 64, 4, 5), Tile(32, 64, 64, 4, 4),
        Tile(64, 64, 64, 4, 4), Tile(128, 64, 64, 8, 4),
    ),
    "packed linear": (*PACKED, Tile(64, 64, 128, 4, 3)),
    "packed gated": (*PACKED, Tile(64, 64, 128, 4, 3)),
}  # fmt: skip
BLACKWELL = {
    "linear": (
        Tile(8, 128, 128, 4, 4), Tile(16, 128, 128, 4, 4), Tile(32, 128, 128, 4, 4),
        Tile(64, 128, 64, 4, 4), Tile(128, 128, 64, 8, 4),
    ),
    "gated": (
        Tile(8, 64, 64, 4, 4), Tile(16, 64, 64, 4, 4), Tile(32, 64, 64, 4, 4),
        Tile(64, 64, 64, 4, 4), Tile(128, 64, 64, 4, 4),
    ),
    "packed linear": (
        Tile(8, 128, 128, 4, 3), Tile(16, 128, 128, 4, 3), Tile(32, 128, 128, 4, 3),
        Tile(64, 128, 128, 4, 3),
    ),
    "packed gated": (
        Tile(8, 128, 128, 4, 3), Tile(16, 128, 128, 4, 3), Tile(32, 128, 128, 4, 3),
        Tile(64, 128, 128, 4, 3),
    ),
}  # fmt: skip
TILES = {
    80: AMPERE, 86: NARROW_MEMORY, 89: NARROW_MEMORY, 90: HOPPER, 100: BLACKWELL, 103: BLACKWELL,
    120: NARROW_MEMORY,
}  # fmt: skip
"""By chip and kind of product, narrowest first."""
