"""Floats of 4 or 8 bits in small groups (https://arxiv.org/abs/2310.10537): MXFP4 and MXFP8, whose
groups of 32 have a power of two as their scale; and NVFP4, groups of 16 with scales in e4m3 that a
whole matrix's scale divides. As llm-compressor and gpt-oss write them."""

from collections.abc import Mapping

import numpy as np

from raylax.kernels.checkpoints.groups import Groups, Kind, packed_words
from raylax.kernels.checkpoints.quantised.base import (
    Array,
    Floats,
    Part,
    Parts,
    Scheme,
    Settings,
    fit,
    matrix,
)
from raylax.kernels.checkpoints.quantised.e2m1 import E2M1
from raylax.kernels.e4m3 import from_e4m3

PAIRS = np.stack([E2M1[np.arange(256) & 15], E2M1[np.arange(256) >> 4]], -1)
"""What a byte does: the low half comes first."""
POWERS = np.ldexp(np.float32(1), np.arange(-127, 128)).astype(np.float32)
POWERS = np.append(POWERS, np.float32("nan"))
"""What a scale of 8 bits stands for, e8m0."""
HALVES = np.concatenate([[0x20, 0x40], np.arange(1, 254) << 7, [0x7FC0]]).astype(np.uint16)
"""The bits of half of that in bf16."""
KEPT = Kind(4, scale="bf16", table="e2m1")
"""The groups that MXFP4 is."""
MX, NV = 32, 16
"""Numbers of a group."""
BYTES = ("U8", "uint8", "F8_E8M0")


def check_bytes(name: str, part: Part) -> None:
    """Raises ValueError for a part that has no bits of 8."""
    if part.precision not in BYTES:
        raise ValueError(f"{name} must be U8, found {part.precision}")


def checked(parts: Parts, codes: str, scales: str, size: int) -> tuple[int, int]:
    """Rows and inputs of codes of 4 bits. Raises ValueError for parts that do not fit."""
    rows, half = matrix(codes, parts[codes])
    check_bytes(codes, parts[codes])
    if half * 2 % size:
        raise ValueError(f"{half * 2} inputs are no whole groups of {size}")
    fit(scales, parts[scales], (rows, half * 2 // size))
    return rows, half * 2


def scaled(values: Array, scales: Floats) -> Floats:
    """Values of groups, [rows, ..], by the scale of each."""
    rows, groups = scales.shape
    out: Floats = values.reshape(rows, groups, -1) * scales[..., None]
    return out.reshape(rows, -1)


def mx_shape(parts: Parts, _: Settings) -> tuple[int, ...]:
    check_bytes("weight_scale", parts["weight_scale"])
    return checked(parts, "weight_packed", "weight_scale", MX)


def mx_values(parts: Parts, _: Settings, rows: slice) -> Floats:
    scales = POWERS[parts["weight_scale"].mapped()[rows]]
    return scaled(PAIRS[parts["weight_packed"].mapped()[rows]], scales)


def mx_groups(kind: Kind, parts: Parts, _: Settings, rows: slice) -> Groups:
    codes, scales = (parts[name].mapped()[rows] for name in ("weight_packed", "weight_scale"))
    return groups_of(kind, codes, scales)


def groups_of(kind: Kind, codes: Array, scales: Array) -> Groups:
    """Of bytes with two neighbours each, [rows, ..]."""
    words = np.ascontiguousarray(codes).reshape(len(codes), -1).view(np.uint32)
    return Groups(kind, packed_words(words), HALVES[scales])


def nv_shape(parts: Parts, _: Settings) -> tuple[int, ...]:
    if (kind := parts["weight_scale"].precision) != "F8_E4M3":
        raise ValueError(f"weight_scale must be F8_E4M3, found {kind}")
    fit("weight_global_scale", parts["weight_global_scale"], (1,), ())
    return checked(parts, "weight_packed", "weight_scale", NV)


def nv_values(parts: Parts, _: Settings, rows: slice) -> Floats:
    whole = parts["weight_global_scale"].read().reshape(())
    scales = from_e4m3(parts["weight_scale"].mapped()[rows]) / whole
    return scaled(PAIRS[parts["weight_packed"].mapped()[rows]], scales)


def mx8_shape(parts: Parts, _: Settings) -> tuple[int, ...]:
    if (kind := parts["weight"].precision) != "F8_E4M3":
        raise ValueError(f"weights must be F8_E4M3, found {kind}")
    check_bytes("weight_scale", parts["weight_scale"])
    rows, depth = matrix("weight", parts["weight"])
    fit("weight_scale", parts["weight_scale"], (rows, -(-depth // MX)))
    if depth % MX:
        raise ValueError(f"{depth} inputs are no whole groups of {MX}")
    return rows, depth


def mx8_values(parts: Parts, _: Settings, rows: slice) -> Floats:
    scales = POWERS[parts["weight_scale"].mapped()[rows]]
    return scaled(from_e4m3(parts["weight"].mapped()[rows]), scales)


def block_shape(parts: Parts, _: Settings) -> tuple[int, ...]:
    blocks = parts["weight_blocks"]
    for name, part in parts.items():
        check_bytes(name, part)
    if len(blocks.shape) != 3 or 0 in blocks.shape or blocks.shape[2] != MX // 2:
        raise ValueError(f"blocks must be [rows, groups, {MX // 2}], found {tuple(blocks.shape)}")
    rows, groups = blocks.shape[:2]
    fit("weight_scales", parts["weight_scales"], (rows, groups))
    return rows, groups * MX


def block_values(parts: Parts, _: Settings, rows: slice) -> Floats:
    scales = POWERS[parts["weight_scales"].mapped()[rows]]
    return scaled(PAIRS[parts["weight_blocks"].mapped()[rows]], scales)


def block_groups(kind: Kind, parts: Parts, _: Settings, rows: slice) -> Groups:
    codes, scales = (parts[name].mapped()[rows] for name in ("weight_blocks", "weight_scales"))
    return groups_of(kind, codes, scales)


def kept(_: Parts, __: Settings) -> Kind | None:
    return KEPT


def of_weights(found: Mapping[str, Part]) -> dict[str, Part]:
    """With `X.weight_blocks` in the place of `X_blocks`, as gpt-oss names what is of no module."""
    ends = ("_blocks", "_scales")

    def own(name: str) -> str:
        stem, _, end = name.rpartition("_")
        whole = not name.endswith(ends) or stem.endswith(".weight")
        return name if whole else f"{stem}.weight_{end}"

    return {own(name): one for name, one in found.items()}


INPUTS = ("input_scale", "input_global_scale")
MXFP4 = Scheme(
    ("weight_packed", "weight_scale"), INPUTS, mx_shape, mx_values, "MXFP4", kept, mx_groups
)
NVFP4 = Scheme(
    ("weight_packed", "weight_scale", "weight_global_scale"), INPUTS, nv_shape, nv_values, "NVFP4"
)
MXFP8 = Scheme(("weight_scale", "weight"), INPUTS, mx8_shape, mx8_values, "MXFP8")
MXFP4_BLOCKS = Scheme(
    ("weight_blocks", "weight_scales"), (), block_shape, block_values, "MXFP4", kept, block_groups
)
