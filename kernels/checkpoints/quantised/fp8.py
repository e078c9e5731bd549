"""Weights in e4m3, with a scale for each block of both axes (DeepSeek-V3, arXiv 2412.19437), for
each row, or for the whole matrix."""

from typing import Any

from raylax.kernels.checkpoints.quantised.base import (
    Floats,
    Part,
    Parts,
    Scheme,
    Settings,
    fit,
    matrix,
    weights_of,
)
from raylax.kernels.e4m3 import from_e4m3


def scales_of(parts: Parts) -> tuple[str, Part]:
    """By their name, which tells how they are meant to be written, not what they do."""
    return next((one, parts[one]) for one in ("weight_scale_inv", "weight_scale") if one in parts)


def block_of(settings: Settings, rows: int, depth: int) -> tuple[int, int]:
    """Rows and inputs that share a scale, where the config says so; else all. Raises ValueError."""
    said = settings.get("weight_block_size")
    if said is None:
        said = block_structure(settings)
    if said is None:
        return rows, depth
    if not isinstance(said, list) or [type(n) for n in said] != [int, int] or min(said) < 1:
        raise ValueError(f"a block must be two sizes, found {said!r}")
    return said[0], said[1]


def block_structure(settings: Settings) -> Any:
    """The same where llm-compressor has it."""
    weights = weights_of(settings) if "config_groups" in settings else {}
    return weights.get("block_structure") if weights.get("strategy") == "block" else None


def shape(parts: Parts, settings: Settings) -> tuple[int, ...]:
    if (kind := parts["weight"].precision) != "F8_E4M3":
        raise ValueError(f"weights must be F8_E4M3, found {kind}")
    rows, depth = matrix("weight", parts["weight"])
    high, wide = block_of(settings, rows, depth)
    grid = -(-rows // high), -(-depth // wide)
    single = ((), (1,), (rows,), (rows, 1)) if grid == (1, 1) else ()
    fit(*scales_of(parts), grid, *single)
    return rows, depth


def values(parts: Parts, settings: Settings, own: slice) -> Floats:
    rows, depth = parts["weight"].shape
    _, scales = scales_of(parts)
    grid = scales.read().reshape(scales.shape if len(scales.shape) == 2 else (-1, 1))
    high, wide = block_of(settings, rows, depth)
    if grid.shape == (rows, 1):
        high = 1
    first = own.start // high
    lines = grid[first : -(-own.stop // high)].repeat(high, 0)
    scale = lines[own.start - first * high : own.stop - first * high].repeat(wide, 1)[:, :depth]
    return from_e4m3(parts["weight"].mapped()[own]) * scale


BLOCKS = Scheme(
    ("weight_scale_inv", "weight"), ("activation_scale", "input_scale"), shape, values, "fp8"
)
SCALED = Scheme(("weight_scale", "weight"), ("input_scale",), shape, values, "fp8")
