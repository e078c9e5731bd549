"""What llm-compressor writes (https://github.com/vllm-project/compressed-tensors): integers of 4 or
8 bits packed into words, or as they are; a scale for each group, row, or matrix, and perhaps a
zero."""

import numpy as np

from raylax.kernels.checkpoints.groups import Groups, Kind
from raylax.kernels.checkpoints.quantised.base import (
    Array,
    Floats,
    Part,
    Parts,
    Scheme,
    Settings,
    digits,
    grouped,
    in_order,
    kind_for,
    numbers,
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


def scaled(signed: Array, parts: Parts, bits: int, own: slice) -> Floats:
    """Signed numbers [rows, depth], which are these rows of the matrix, by the scales and zeros of
    their groups."""
    rows, depth = signed.shape
    scales = of_rows(parts["weight_scale"], own)
    groups = scales.shape[1]
    out: Floats = signed.astype(np.float32).reshape(rows, groups, depth // groups)
    if (zero := parts.get("weight_zero_point")) is not None:
        if zero.precision == "I32":  # packed along the rows
            points = digits(zero.mapped(), bits, 0)[own].astype(np.float32) - (1 << bits - 1)
        else:
            points = of_rows(zero, own)
        out = out - points[..., None]
    return (out * scales[..., None]).reshape(rows, depth)


def of_rows(part: Part, own: slice) -> Floats:
    """What there is for each group of these rows; one row of a part is that of all."""
    if len(part.shape) < 2 or part.shape[0] == 1:
        return numbers(part).reshape(1, -1)
    return numbers(part, own)


def kind_of(bits: int, columns: int, parts: Parts) -> Kind | None:
    """None where inputs were ordered: those of a group lie apart."""
    scales = parts["weight_scale"]
    count = scales.shape[-1] if len(scales.shape) > 1 else 1
    found = kind_for(bits, columns, count, scales, "weight_zero_point" in parts)
    ordered = found is None or in_order(parts.get("weight_g_idx"), columns // count)
    return found if ordered else None


def as_groups(kind: Kind, codes: Array, parts: Parts, bits: int, own: slice) -> Groups:
    """Of unsigned codes, which are these rows of the matrix."""
    zeros = None
    if (zero := parts.get("weight_zero_point")) is not None:
        if zero.precision == "I32":
            zeros = digits(zero.mapped(), bits, 0)[own]
        else:
            zeros = (of_rows(zero, own) + (1 << bits - 1)).astype(np.uint8)
    scales = parts["weight_scale"]
    apart = len(scales.shape) == 2 and scales.shape[0] > 1
    raw = scales.mapped()[own] if apart else scales.mapped().reshape(1, -1)
    return grouped(kind, codes, raw, zeros)


def packed_groups(kind: Kind, parts: Parts, settings: Settings, own: slice) -> Groups:
    bits, (_, depth) = bits_of(settings), shape(parts, settings)
    codes = digits(parts["weight_packed"].mapped()[own], bits, 1)[:, :depth]
    return as_groups(kind, codes, parts, bits, own)


def byte_groups(kind: Kind, parts: Parts, _: Settings, own: slice) -> Groups:
    codes = parts["weight"].mapped()[own].view(np.uint8) ^ np.uint8(128)
    return as_groups(kind, codes, parts, 8, own)


def unpacked(parts: Parts, settings: Settings, own: slice) -> Floats:
    bits, (_, depth) = bits_of(settings), shape(parts, settings)
    codes = digits(parts["weight_packed"].mapped()[own], bits, 1)[:, :depth].astype(np.int16)
    signed = codes - (1 << bits - 1)
    if "weight_g_idx" not in parts:
        return scaled(signed, parts, bits, own)
    order = np.argsort(parts["weight_g_idx"].mapped(), kind="stable")
    out = np.empty(signed.shape, np.float32)
    out[:, order] = scaled(signed[:, order], parts, bits, own)
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
    "compressed-tensors",
    lambda parts, settings: kind_of(bits_of(settings), shape(parts, settings)[1], parts),
    packed_groups,
)
BYTES = Scheme(
    ("weight_scale", "weight"),
    ("weight_zero_point", "input_scale", "input_zero_point"),
    whole,
    lambda parts, _, own: scaled(parts["weight"].mapped()[own], parts, 8, own),
    "compressed-tensors",
    lambda parts, _: kind_of(8, parts["weight"].shape[1], parts),
    byte_groups,
)
