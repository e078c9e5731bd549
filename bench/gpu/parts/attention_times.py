"""How long attention takes: decodes of many sequences, and prompts, of an 8B model's heads."""

from typing import Any

import numpy as np
from floor import Floor
from machine import Array, Machine
from part import Part

from parts.attention import Sequences, as_a_step, tiles
from raylax.kernels.cuda.pages import PageLayout
from raylax.kernels.cuda.variants.attention import AttentionShape, choose
from raylax.kernels.cuda.variants.base import Variant
from raylax.kernels.options import PAGE_SIZE

LOADS = {
    "decode 1 x 8k": ([1], [8191]),
    "decode 64 x 2k": ([1] * 64, [2047] * 64),
    "decode 256 x 1k": ([1] * 256, [1023] * 256),
    "prefill 2k": ([2048], [0]),
    "prefill 8k": ([8192], [0]),
}
SMALL_LOADS = {"decode 2 x 100": ([1] * 2, [99] * 2)}
NEEDS_S = 0.5


def run(part: Part, machine: Machine) -> None:
    floor = Floor.of(part.so_far)
    for name, (lengths, before) in (SMALL_LOADS if machine.small else LOADS).items():
        part.figure(
            f"attention {name}", lambda a=lengths, b=before: figure(machine, floor, a, b), NEEDS_S
        )
        machine.forget()


def figure(machine: Machine, floor: Floor, lengths: list[int], before: list[int]) -> dict[str, Any]:
    """By the tile that a step takes, divided as there."""
    spec = machine.kit.timed
    shape = AttentionShape(spec.heads, spec.kv_heads, spec.head_dim, "bf16")
    tile = choose(tiles(machine, shape), shape.group, max(lengths))
    told = timed(machine, floor, shape, tile, as_a_step(machine, shape), lengths, before)
    return {"tile": f"q{tile.most}", **told}


def timed(
    machine: Machine,
    floor: Floor,
    shape: AttentionShape,
    tile: Variant,
    places: tuple[int, int],
    lengths: list[int],
    before: list[int],
) -> dict[str, Any]:
    """By any tile; `places` as in `parts/attention.py`. `cached`: a cache may hold all keys."""
    batch = sequences(machine, shape, lengths, before)
    made, _ = batch.launches(tile, places)
    took = machine.time(made * (1 if machine.small else 4))
    took = took._replace(median=took.median * len(made))  # all launches are one attention
    keys = sum(map(sum, zip(lengths, before, strict=True)))
    seen = sum(n * b + n * (n + 1) / 2 for n, b in zip(lengths, before, strict=True))
    kept = keys * 2 * shape.kv_heads * shape.dim * 2
    moved = kept + 4 * sum(lengths) * shape.heads * shape.dim
    told = floor.told(took, moved, 4.0 * shape.heads * shape.dim * seen)
    cached = "TB_s" in told and kept < 2 * floor.cache and not machine.small
    return told | ({"cached": True} if cached else {})


def sequences(
    machine: Machine, shape: AttentionShape, lengths: list[int], before: list[int]
) -> Sequences:
    """Of random numbers that only the device has."""
    width = -(-max(map(sum, zip(lengths, before, strict=True))) // PAGE_SIZE)
    tables = machine.rng.permutation(width * len(lengths)).astype(np.int32).reshape(-1, width)
    q = blank(sum(lengths), shape.heads, shape.dim)
    pages = blank(*PageLayout(1, shape.kv_heads, shape.dim, shape.kv).codes(tables.size))
    scales = np.zeros(4, np.float32)  # there are none
    at = [*(machine.filled(one.nbytes, "halves") for one in (q, pages))]
    at += [machine.put(scales), machine.put(tables)]
    return Sequences(machine, shape, lengths, before, (q, tables, pages, scales), at)


def blank(*shape: int) -> Array:
    """An array of this size that takes no memory."""
    return np.broadcast_to(np.zeros((), np.uint16), shape)
