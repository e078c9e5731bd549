"""Rotary position embedding as tables (https://arxiv.org/abs/2104.09864), which steps look up."""

from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.spec import DecoderSpec, Rope

Array = npt.NDArray[Any]


def rotary_tables(spec: DecoderSpec, length: int) -> tuple[Array, Array]:
    """cos and sin, each f32[length, head_dim / 2], computed in f32 as transformers does. What is
    padding does not turn."""
    dim = spec.own_head_dim
    exponents = np.arange(0, dim, 2, dtype=np.float32) / np.float32(dim)
    inverse = np.float32(1) / np.float32(spec.rope.theta) ** exponents
    frequencies = np.pad(scaled_frequencies(spec.rope, inverse), (0, spec.head_padding // 2))
    angle = np.outer(np.arange(length, dtype=np.float32), frequencies)
    return np.cos(angle), np.sin(angle)


def scaled_frequencies(rope: Rope, inverse: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Llama 3's scaling keeps short waves, stretches long ones, and blends between the two."""
    if rope.scaling == "linear":
        return inverse / np.float32(rope.factor)
    if rope.scaling == "factors":
        factors: npt.NDArray[np.float32] = np.asarray(rope.factors, np.float32)
        return inverse / factors
    if rope.scaling == "none":
        return inverse
    wavelength = 2 * np.pi / inverse
    cycles = rope.original_positions / wavelength
    blend = (cycles - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor)
    share = np.clip(blend, 0, 1).astype(np.float32)
    return (1 - share) * inverse / np.float32(rope.factor) + share * inverse
