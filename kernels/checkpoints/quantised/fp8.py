"""Weights in e4m3, with a scale for each block of both axes (DeepSeek-V3, arXiv 2412.19437), for
each row, or for the whole matrix."""

import numpy as np

from raylax.kernels.checkpoints.quantised.base import Floats, Parts, Scheme, Settings
from raylax.kernels.e4m3 import from_e4m3


def shape(parts: Parts, _: Settings) -> tuple[int, ...]:
    if (kind := parts["weight"].precision) != "F8_E4M3":
        raise ValueError(f"weights must be F8_E4M3, found {kind}")
    return parts["weight"].shape


def values(parts: Parts, settings: Settings, own: slice) -> Floats:
    rows, depth = parts["weight"].shape
    scales = next(parts[name] for name in ("weight_scale_inv", "weight_scale") if name in parts)
    grid = np.atleast_1d(scales.read())
    if grid.ndim == 1:
        grid = grid.reshape(-1, 1)
    block = settings.get("weight_block_size")
    high, wide = (
        block if isinstance(block, list) else (-(-rows // len(grid)), -(-depth // grid.shape[1]))
    )
    first = own.start // high
    lines = grid[first : -(-own.stop // high)].repeat(high, 0)
    scale = lines[own.start - first * high : own.stop - first * high].repeat(wide, 1)[:, :depth]
    return from_e4m3(parts["weight"].mapped()[own]) * scale


BLOCKS = Scheme(
    ("weight_scale_inv", "weight"), ("activation_scale", "input_scale"), shape, values, "fp8"
)
SCALED = Scheme(("weight_scale", "weight"), ("input_scale",), shape, values, "fp8")
