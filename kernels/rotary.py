"""Rotary position embedding as tables (https://arxiv.org/abs/2104.09864), which steps look up.

Steps rotate a dim with the one half a head further. Where a model pairs other ones, or turns some
only, the rows of its queries and keys are put in an order in which it is so: scores are the same.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.spec import DecoderSpec, Rope

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]


def turned_order(spec: DecoderSpec) -> npt.NDArray[np.int64] | None:
    """Which dim of a model's head each dim of a step's head is; None: the same."""
    rope, dim = spec.rope, spec.head_dim
    turned = rope.turned or dim
    if turned == dim and not rope.neighbours:
        return None
    first, rest = np.arange(turned), np.arange(turned, dim).reshape(2, -1)
    pairs = first.reshape(-1, 2).T if rope.neighbours else first.reshape(2, -1)
    return np.concatenate([pairs, rest], axis=1).ravel()


def rotary_tables(spec: DecoderSpec, length: int) -> tuple[Array, Array]:
    """cos and sin, each f32[length, head_dim / 2]; of a model with local layers both have two of
    them, theirs last."""
    kinds = [spec.rope, spec.local.rope] if spec.local else [spec.rope]
    tables = [table(rope, spec, length) for rope in kinds]
    cos, sin = (np.stack(one) for one in zip(*tables, strict=True))
    return (cos, sin) if spec.local else (cos[0], sin[0])


def table(rope: Rope, spec: DecoderSpec, length: int) -> tuple[Floats, Floats]:
    """Both of one kind, computed in f32 as transformers does. What is not turned, and what is
    padding, has a cosine of 1."""
    dim = rope.turned or spec.own_head_dim
    half = spec.head_dim // 2
    if not rope.theta:
        return np.ones((length, half), np.float32), np.zeros((length, half), np.float32)
    exponents = np.arange(0, dim, 2, dtype=np.float32) / np.float32(dim)
    inverse = np.float32(1) / np.float32(rope.theta) ** exponents
    if rope.long_factors and length > rope.original_positions:
        rope = replace(rope, factors=rope.long_factors)
    angle = np.outer(np.arange(length, dtype=np.float32), scaled_frequencies(rope, inverse, dim))
    still = (0, 0), (0, half - dim // 2)
    magnitude = np.float32(rope.magnitude)
    cos = np.pad(np.cos(angle) * magnitude, still, constant_values=1)
    return cos, np.pad(np.sin(angle) * magnitude, still)


def scaled_frequencies(rope: Rope, inverse: Floats, dim: int) -> Floats:
    """Llama 3's scaling, and YaRN's (https://arxiv.org/abs/2309.00071), keep short waves, stretch
    long ones, and blend between the two."""
    match rope.scaling:
        case "none":
            return inverse
        case "linear":
            return inverse / np.float32(rope.factor)
        case "factors":
            factors: Floats = np.asarray(rope.factors, np.float32)
            return inverse / factors
        case "yarn":
            share = yarn_share(rope, dim)
            return inverse / np.float32(rope.factor) * (1 - share) + inverse * share
    wavelength = 2 * np.pi / inverse
    cycles = rope.original_positions / wavelength
    blend = (cycles - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor)
    share = np.clip(blend, 0, 1).astype(np.float32)
    return (1 - share) * inverse / np.float32(rope.factor) + share * inverse


def yarn_share(rope: Rope, dim: int) -> Floats:
    """How much of each frequency is kept: all up to the dim that turns `beta_fast` times within
    the original positions, nothing from the one that turns `beta_slow` times on."""

    def dim_that_turns(times: float) -> float:
        waves = math.log(rope.original_positions / (times * 2 * math.pi))
        return dim * waves / (2 * math.log(rope.theta))

    low, high = dim_that_turns(rope.beta_fast), dim_that_turns(rope.beta_slow)
    if rope.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    if low == high:
        high += 0.001
    ramp = (np.arange(dim // 2, dtype=np.float32) - np.float32(low)) / np.float32(high - low)
    kept: Floats = (1 - np.clip(ramp, 0, 1)).astype(np.float32)
    return kept
