"""What llm-compressor writes (https://github.com/vllm-project/compressed-tensors): integers of 4 or
8 bits packed into words, or as they are; a scale for each group, row, or matrix, and perhaps a
zero."""

from typing import Any

import numpy as np

from raylax.kernels.checkpoints.groups import Bytes, Groups, Kind
from raylax.kernels.checkpoints.quantised.base import (
    Array,
    Floats,
    Part,
    Parts,
    Scheme,
    Settings,
    check_groups,
    digits,
    fit,
    grouped,
    in_order,
    kind_for,
    matrix,
    numbers,
    rows_of_words,
    some_digits,
    weights_of,
)


def bits_of(settings: Settings) -> int:
    """Raises ValueError where that is not said."""
    bits = weights_of(settings).get("num_bits")
    if type(bits) is not int or not 2 <= bits <= 8:
        raise ValueError(f"num_bits must be 2 to 8, found {bits!r}")
    return bits


def shape(parts: Parts, settings: Settings) -> tuple[int, ...]:
    fit("weight_shape", parts["weight_shape"], (2,))
    rows, depth = (int(one) for one in parts["weight_shape"].mapped())
    if not (0 < rows < 1 << 31 and 0 < depth < 1 << 31):
        raise ValueError(f"weight_shape must be two sizes, found {rows} and {depth}")
    bits = bits_of(settings)
    fit("weight_packed", parts["weight_packed"], (rows, -(-depth * bits // 32)))
    check_scales(parts, rows, depth, bits, weights_of(settings).get("group_size"))
    return rows, depth


def check_scales(parts: Parts, rows: int, depth: int, bits: int, said: Any = None) -> None:
    """Raises ValueError for those that are not of such a matrix. `said`: inputs of a group."""
    scales = parts["weight_scale"]
    groups = scales.shape[-1] if len(scales.shape) == 2 else 1
    check_groups(depth, groups, said)
    fit("weight_scale", scales, (rows, groups), (1, groups), (1,))
    fit("weight_g_idx", parts.get("weight_g_idx"), (depth,))
    if (zero := parts.get("weight_zero_point")) is not None and zero.precision == "I32":
        fit("weight_zero_point", zero, (-(-rows * bits // 32), groups))
    else:
        fit("weight_zero_point", zero, (rows, groups), (1, groups), (1,))


def scaled(signed: Array, parts: Parts, bits: int, own: slice) -> Floats:
    """Signed numbers [rows, depth], which are these rows of the matrix, by the scales and zeros of
    their groups."""
    rows, depth = signed.shape
    scales = of_rows(parts["weight_scale"], own)
    groups = scales.shape[1]
    out: Floats = signed.astype(np.float32).reshape(rows, groups, depth // groups)
    if (zero := parts.get("weight_zero_point")) is not None:
        if zero.precision == "I32":  # packed along the rows
            points = some_digits(zero.mapped(), bits, 0, own).astype(np.float32) - (1 << bits - 1)
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
    """None where inputs were ordered: those of a group lie apart; and for a number of bits of which
    0 is not the middle of 4 or 8."""
    if bits not in (4, 8):
        return None
    scales = parts["weight_scale"]
    count = scales.shape[-1] if len(scales.shape) > 1 else 1
    found = kind_for(bits, columns, count, scales, "weight_zero_point" in parts)
    ordered = found is None or in_order(parts.get("weight_g_idx"), columns // count)
    return found if ordered else None


def as_groups(kind: Kind, codes: Bytes, parts: Parts, bits: int, own: slice) -> Groups:
    """Of codes as groups have them, which are these rows of the matrix."""
    zeros = None
    if (zero := parts.get("weight_zero_point")) is not None:
        if zero.precision == "I32":
            zeros = some_digits(zero.mapped(), bits, 0, own)
        else:
            zeros = (of_rows(zero, own) + (1 << bits - 1)).astype(np.uint8)
    scales = parts["weight_scale"]
    apart = len(scales.shape) == 2 and scales.shape[0] > 1
    raw = scales.mapped()[own] if apart else scales.mapped().reshape(1, -1)
    return grouped(kind, codes, raw, zeros)


def packed_groups(kind: Kind, parts: Parts, settings: Settings, own: slice) -> Groups:
    bits, (_, depth) = bits_of(settings), shape(parts, settings)
    codes = rows_of_words(parts["weight_packed"].mapped()[own], bits, kind, depth)
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
    rows, depth = matrix("weight", parts["weight"])
    check_scales(parts, rows, depth, 8)
    return rows, depth


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
