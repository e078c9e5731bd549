"""What llm-compressor writes (https://github.com/vllm-project/compressed-tensors): integers of 4 or
8 bits packed into words, or as they are; a scale for each group, row, or matrix, and perhaps a
zero."""

import numpy as np

from raylax.kernels.checkpoints.quantised.base import (
    Array,
    Floats,
    Parts,
    Scheme,
    Settings,
    digits,
)


def bits_of(settings: Settings) -> int:
    """Of the only group of layers. Raises ValueError where that is not said."""
    groups = settings.get("config_groups")
    (group,) = groups.values() if isinstance(groups, dict) and len(groups) == 1 else ({},)
    bits = (group.get("weights") or {}).get("num_bits") if isinstance(group, dict) else None
    if bits not in (4, 8):
        raise ValueError(f"compressed-tensors has weights of 4 or 8 bits here, found {bits!r}")
    return int(bits)


def shape(parts: Parts, _: Settings) -> tuple[int, ...]:
    said = parts["weight_shape"].mapped().tolist()
    if len(said) != 2 or not all(0 < one < 1 << 31 for one in said):
        raise ValueError(f"weight_shape must be two sizes, found {said}")
    return tuple(int(one) for one in said)


def scaled(numbers: Array, parts: Parts, bits: int) -> Floats:
    """Signed numbers [rows, depth] by the scales and zeros of their groups."""
    rows, depth = numbers.shape
    scales = parts["weight_scale"].read().reshape(-1, parts["weight_scale"].shape[-1])
    scales = np.broadcast_to(scales, (rows, scales.shape[1])) if len(scales) == 1 else scales
    groups = scales.shape[1]
    out: Floats = numbers.astype(np.float32).reshape(rows, groups, depth // groups)
    if (zero := parts.get("weight_zero_point")) is not None:
        if zero.precision == "I32" and zero.shape[0] != rows:  # packed along the rows
            points = digits(zero.mapped(), bits, 0)[:rows].astype(np.float32) - (1 << bits - 1)
        else:
            points = zero.mapped().astype(np.float32).reshape(rows, groups)
        out = out - points[..., None]
    return (out * scales[..., None]).reshape(rows, depth)


def unpacked(parts: Parts, settings: Settings) -> Floats:
    bits, (rows, depth) = bits_of(settings), shape(parts, settings)
    codes = digits(parts["weight_packed"].mapped(), bits, 1)[:, :depth].astype(np.int16)
    numbers = codes - (1 << bits - 1)
    if "weight_g_idx" not in parts:
        return scaled(numbers, parts, bits)
    order = np.argsort(parts["weight_g_idx"].mapped(), kind="stable")
    out = np.empty((rows, depth), np.float32)
    out[:, order] = scaled(numbers[:, order], parts, bits)
    return out


def whole(parts: Parts, _: Settings) -> tuple[int, ...]:
    if (kind := parts["weight"].precision) != "I8":
        raise ValueError(f"weights must be I8, found {kind}")
    return parts["weight"].shape


PACKED = Scheme(
    ("weight_packed", "weight_scale", "weight_shape"),
    ("weight_zero_point", "weight_g_idx"),
    shape,
    unpacked,
)
BYTES = Scheme(
    ("weight_scale", "weight"),
    ("weight_zero_point", "input_scale", "input_zero_point"),
    whole,
    lambda parts, _: scaled(parts["weight"].mapped(), parts, 8),
)
