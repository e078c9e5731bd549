"""Machine code for attention: one set for a model's heads, on a chip.

Tiles differ in their queries: narrow ones for decodes, wide ones for prefill. All have 64 keys,
which are part of the result (law 1); more would spill on most chips, and leave room for one program
on a multiprocessor instead of three. A tile that spills on a chip is not in its table:
`tests/support/cuda_models.py` says which heads were tried.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from raylax.kernels.cuda.pages import FORMATS, KV
from raylax.kernels.cuda.variants.base import PRECISIONS, Variant, signature
from raylax.kernels.errors import CompileError
from raylax.kernels.options import PAGE_SIZE
from raylax.kernels.spec import DecoderSpec

KEYS = 64
"""Of a tile, on every chip and for every shape."""
SPLIT = 512
"""Keys that are reduced on their own. Part of every result: never to be changed by load."""
WARP_TILES = {8: (4, 2), 16: (8, 2), 32: (8, 2)}
"""Warps and stages by queries, where a product is a warp's."""
GROUP_TILES = {8: (4, 3), 16: (4, 3), 32: (8, 2), 64: (8, 2)}
"""The same where it is that of four warps, or has a memory of its own."""
TILES = {
    80: WARP_TILES,
    86: WARP_TILES,
    89: WARP_TILES,
    90: GROUP_TILES,
    100: GROUP_TILES,
    103: GROUP_TILES,
    120: WARP_TILES,
}
PLAIN_TILES = {**TILES, 120: {**WARP_TILES, 16: (4, 3)}}
"""Of pages in the model's precision: with 8 warps this one spills, of bytes with 4."""
WARPS_WIDE = 8
"""Of all tiles, where a head is wider than 128."""
WIDEST = {
    80: {64: (32, 32), 128: (32, 32), 256: (32, 16)},
    86: {64: (32, 32), 128: (32, 32), 256: (32, 16)},
    89: {64: (32, 32), 128: (32, 32), 256: (32, 16)},
    90: {64: (64, 64), 128: (64, 32), 256: (32, 16)},
    100: {64: (32, 64), 128: (32, 64), 256: (16, 16)},
    103: {64: (32, 64), 128: (32, 64), 256: (16, 16)},
    120: {64: (32, 32), 128: (32, 32), 256: (32, 16)},
}
"""Most queries of a tile, by chip and by a head's dim: of the model's precision, and of bytes."""
FITTING = (2, 4, 8, 16, 32)
"""Query heads of a KV head for which the widest tiles have the registers; with any other number 64
queries of more than 64 dims spill on Hopper, and 32 of 64 dims on Blackwell."""


@dataclass(frozen=True, slots=True)
class AttentionShape:
    """What attention's machine code depends on. Heads are a rank's."""

    heads: int
    kv_heads: int
    dim: int
    precision: str
    """f16 or bf16, of queries, outputs and plain pages."""
    kv: KV = "plain"
    window: bool = False
    softcap: bool = False
    sinks: bool = False
    """Whether it sees the first keys too, before a window."""
    learned: bool = False
    """Whether each head has a score without a value, beside those of keys."""

    @classmethod
    def of(cls, spec: DecoderSpec, precision: str, kv: KV, shards: int = 1) -> Self:
        """A model's, or that of one of several ranks that share its heads."""
        heads, kv_heads = spec.heads // shards, max(1, spec.kv_heads // shards)
        traits = spec.window > 0, spec.softcap > 0, spec.sinks > 0, spec.learned_sinks
        return cls(heads, kv_heads, spec.head_dim, precision, kv, *traits)

    @classmethod
    def each_of(
        cls, spec: DecoderSpec, precision: str, kv: KV, shards: int = 1
    ) -> tuple[Self, ...]:
        """The same, and behind it that of local layers, where it is another one."""
        own = cls.of(spec, precision, kv, shards)
        if spec.local is None or own.window == (spec.local.window > 0):
            return (own,)
        return own, replace(own, window=not own.window, sinks=False)

    def __post_init__(self) -> None:
        """Raises CompileError for what no kernel is made for."""
        if self.precision not in PRECISIONS:
            known = ", ".join(sorted(PRECISIONS))
            raise CompileError(f"attention on a GPU is in {known}, asked for {self.precision}")
        if self.dim % 16 or not 16 <= self.dim <= 256:
            raise CompileError(
                "attention on a GPU needs heads of 16 to 256 dims, a multiple of 16; "
                f"this model has {self.dim}: serve it with --device cpu"
            )
        if self.heads % self.kv_heads:
            raise CompileError(
                f"{self.heads} heads cannot share {self.kv_heads} heads of keys and values"
            )

    @property
    def group(self) -> int:
        """Query heads of a KV head."""
        return self.heads // self.kv_heads

    @property
    def heads_name(self) -> str:
        """For names of variants that depend on heads alone."""
        return f"{self.precision}_h{self.heads}_{self.kv_heads}_{self.dim}"

    @property
    def name(self) -> str:
        """For names of variants that depend on all of it."""
        names = "window", "softcap", "sinks", "learned"
        traits = [name for name in names if getattr(self, name)]
        return "_".join([self.heads_name, self.kv, *traits])

    @property
    def sizes(self) -> dict[str, int | bool]:
        """Constants of every kernel that knows heads."""
        return {"HEADS": self.heads, "KV_HEADS": self.kv_heads, "D": self.dim}

    @property
    def pages(self) -> str:
        """Letter of the pages' type."""
        return "k" if self.kv == "plain" else "c"


def attend(shape: AttentionShape, chip: int) -> list[Variant]:
    """The tiles of a chip that have room for a KV head's queries, narrowest first. CompileError if
    there is none, or for a chip that nothing is tuned for."""
    if chip not in WIDEST:
        known = ", ".join(f"sm_{c}" for c in WIDEST)
        raise CompileError(f"attention is tuned for {known}, not for sm_{chip}")
    plain, of_bytes = WIDEST[chip][next(d for d in (64, 128, 256) if shape.dim <= d)]
    widest = plain if shape.kv == "plain" else of_bytes
    if shape.dim > 64 and (shape.window or shape.softcap):
        widest = min(widest, 32 if shape.dim <= 128 else 16)  # for these take registers
    if shape.sinks and shape.kv != "plain" and chip == 90:
        widest = min(widest, 32)
    if shape.group not in FITTING and chip == 90 and shape.dim > 64:
        widest = min(widest, 32)
    if shape.group not in FITTING and chip in (100, 103) and shape.dim <= 64:
        widest = min(widest, 16)
    if shape.group > widest:
        raise CompileError(
            f"attention on sm_{chip} has tiles of {widest} queries, and with heads of {shape.dim} "
            f"dims this model has {shape.group} for a head of keys: serve it with --device cpu"
        )
    tiles = (PLAIN_TILES if shape.kv == "plain" else TILES)[chip]
    if chip == 90 and shape.dim > 128 and (shape.precision, shape.kv) == ("f16", "int8"):
        tiles = {**tiles, 16: (WARPS_WIDE, 1)}  # it has no registers for what is loaded ahead
    return [tile(shape, q, *how) for q, how in tiles.items() if shape.group <= q <= widest]


def tiles_of(shapes: Sequence[AttentionShape], chip: int) -> list[list[Variant]]:
    """The tiles of each of a model's shapes, of as many queries: those that all of them have, for a
    step's work is divided once. CompileError as `attend`."""
    made = [attend(shape, chip) for shape in shapes]
    common = set.intersection(*({one.most for one in tiles} for tiles in made))
    return [[one for one in tiles if one.most in common] for tiles in made]


def tile(shape: AttentionShape, queries: int, warps: int, stages: int) -> Variant:
    """`attend` with this many queries."""
    return Variant(
        f"attend_{shape.name}_q{queries}",
        "attention:attend",
        signature(
            f"q:k pages:{shape.pages} scales:f tables:j items:j out:k partial:f summary:f "
            f"{'learned:f ' * shape.learned}"
            f"scale:s softcap:s window:i {'sinks:i ' * shape.sinks}table_width:i",
            shape.precision,
        ),
        {
            **({} if shape.learned else {"learned": 0}),  # what is none takes no argument
            **({} if shape.sinks else {"sinks": 0}),
            **shape.sizes,
            "BQ": queries,
            "BK": KEYS,
            "SPLIT": SPLIT,
            "PAGE": PAGE_SIZE,
            "KV": FORMATS[shape.kv],
            "WINDOW": shape.window,
            "SINKS": shape.sinks,
            "SOFTCAP": shape.softcap,
            "LEARNED": shape.learned,
        },
        WARPS_WIDE if shape.dim > 128 else warps,
        stages,
        most=queries,
    )


def combine(shape: AttentionShape) -> Variant:
    """The one for all tiles: how many queries those have is an argument."""
    return Variant(
        f"combine_{shape.heads_name}" + ("_learned" if shape.learned else ""),
        "attention:combine",
        signature(
            f"partial:f summary:f rows:j out:k {'learned:f ' * shape.learned}tile:i",
            shape.precision,
        ),
        {**({} if shape.learned else {"learned": 0}), **shape.sizes, "LEARNED": shape.learned},
        4,
        2,
    )


def choose(tiles: Sequence[Variant], group: int, longest: int) -> Variant:
    """Of `attend`'s: the narrowest whose queries take the longest chunk of a step (1: only
    decodes), else the widest. `group`: query heads of a KV head."""
    fit = (v for v in tiles if v.most is not None and longest * group <= v.most)
    return next(fit, tiles[-1])
