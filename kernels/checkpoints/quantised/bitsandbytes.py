"""What bitsandbytes writes: nf4 and fp4 (https://arxiv.org/abs/2305.14314), codes of a table by
blocks along the rows, whose scales may be quantised once more; and int8, a scale for each row."""

import json
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from raylax.kernels.checkpoints.groups import Groups, Kind
from raylax.kernels.checkpoints.quantised.base import (
    Floats,
    Parts,
    Scheme,
    Settings,
    fit,
    grouped,
    kind_for,
    matrix,
    numbers,
)

STATES = tuple(f"weight.quant_state.bitsandbytes__{kind}" for kind in ("nf4", "fp4"))


def state(parts: Parts) -> dict[str, Any]:
    """What is told of a weight, as JSON. Raises ValueError."""
    (name,) = (name for name in STATES if name in parts)
    try:
        told = json.loads(parts[name].mapped().tobytes())
    except RecursionError as error:
        raise ValueError(str(error)) from None
    if not isinstance(told, dict):
        raise ValueError("the state of a weight is no table")
    return told


def size_in(told: dict[str, Any], name: str) -> int:
    """Raises ValueError for none."""
    size = told.get(name)
    if type(size) is not int or not 0 < size < 1 << 31:
        raise ValueError(f"{name} must be a size, found {size!r}")
    return size


def shape(parts: Parts, _: Settings) -> tuple[int, ...]:
    told = state(parts)
    said = told.get("shape")
    if not isinstance(said, list) or not all(type(n) is int and 0 < n < 1 << 31 for n in said):
        raise ValueError(f"shape must be sizes, found {said!r}")
    count, bytes_of = prod(said), prod(parts["weight"].shape)
    if bytes_of != -(-count // 2):
        raise ValueError(f"{said} numbers of 4 bits are not {bytes_of} bytes")
    blocks = -(-count // size_in(told, "blocksize"))
    fit("absmax", parts["weight.absmax"], (blocks,))
    fit("quant_map", parts["weight.quant_map"], (16,))
    if "weight.nested_absmax" in parts:
        outer = -(-blocks // size_in(told, "nested_blocksize"))
        fit("nested_absmax", parts["weight.nested_absmax"], (outer,))
        fit("nested_quant_map", parts.get("weight.nested_quant_map"), (256,))
        if not isinstance(told.get("nested_offset"), int | float):
            raise ValueError("nested_offset must be a number")
    return tuple(said)


def values(parts: Parts, settings: Settings, rows: slice) -> Floats:
    told, sizes = state(parts), shape(parts, settings)
    row = prod(sizes[1:])
    first, end = rows.start * row, rows.stop * row
    raw = parts["weight"].mapped().reshape(-1)[first // 2 : -(-end // 2)]
    codes = np.stack([raw >> 4, raw & 15], -1).reshape(-1)[first % 2 :][: end - first]
    size = int(told["blocksize"])
    block, last = first // size, -(-end // size)
    largest = parts["weight.absmax"]
    if "weight.nested_absmax" in parts:
        outer = parts["weight.nested_absmax"].read()
        inner = parts["weight.nested_quant_map"].read()[largest.mapped()[block:last]]
        blocks = outer.repeat(int(told["nested_blocksize"]))[block:last]
        scales = inner * blocks + np.float32(told["nested_offset"])
    else:
        scales = numbers(largest, slice(block, last))
    table = parts["weight.quant_map"].read()
    wide = scales.repeat(size)[first - block * size :][: len(codes)]
    return (table[codes] * wide).reshape(-1, *sizes[1:])


FOUR_BITS = tuple(
    Scheme(
        ("weight.absmax", "weight", "weight.quant_map", name),
        ("weight.nested_absmax", "weight.nested_quant_map"),
        shape,
        values,
        name.rpartition("__")[2],
    )
    for name in STATES
)


def of_rows(parts: Parts, _: Settings, rows: slice) -> Floats:
    scales = numbers(parts["SCB"], rows) / np.float32(127)
    return numbers(parts["weight"], rows) * scales[:, None]


def row_shape(parts: Parts, _: Settings) -> tuple[int, ...]:
    rows, depth = matrix("weight", parts["weight"])
    fit("SCB", parts["SCB"], (rows,))
    return rows, depth


def row_groups(kind: Kind, parts: Parts, _: Settings, rows: slice) -> Groups:
    codes = parts["weight"].mapped()[rows].view(np.uint8) ^ np.uint8(128)
    return grouped(kind, codes, (numbers(parts["SCB"], rows) / np.float32(127))[:, None])


def row_kind(parts: Parts, _: Settings) -> Kind | None:
    found = kind_for(8, parts["weight"].shape[1], 1, parts["SCB"])
    return found and replace(found, scale="f32")


EIGHT_BITS = Scheme(
    ("SCB", "weight"),
    ("weight_format",),
    row_shape,
    of_rows,
    "int8",
    row_kind,
    row_groups,
)
