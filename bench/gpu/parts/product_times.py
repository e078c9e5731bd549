"""How long products take: the matrices of an 8B model by the tiles that a step takes, over weights
that no cache holds."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from floor import Floor
from machine import BLOCK, Machine
from part import Part

from raylax.kernels.bf16 import to_bf16
from raylax.kernels.cuda.device.code import Launch
from raylax.kernels.cuda.formats.base import Format, size
from raylax.kernels.cuda.formats.dense import Dense
from raylax.kernels.cuda.formats.grouped import Grouped
from raylax.kernels.cuda.variants import products
from raylax.kernels.cuda.variants.base import Variant
from raylax.kernels.cuda.variants.products import Matrix
from raylax.kernels.cuda.variants.segments import segments_of
from raylax.kernels.spec import DecoderSpec

BATCHES, SMALL_BATCHES = (1, 8, 16, 32, 64, 256, 2048), (1,)
PACKED_BATCHES = (1, 8, 32)
COLD = 300e6
"""Bytes of weights that a graph goes through."""
NEEDS_S = 1.0


@dataclass(frozen=True)
class Timed:
    """A matrix of the model."""

    name: str
    kind: str
    """linear or gated."""
    matrix: Matrix
    """Of a gated one: half the rows."""


def run(part: Part, machine: Machine) -> None:
    floor = Floor.of(part.so_far)
    for tokens in SMALL_BATCHES if machine.small else BATCHES:
        for form in forms(tokens, machine.small):
            for timed in matrices(machine.kit.timed, machine.chip):
                name = f"{timed.kind} {timed.name} {form.name} {tokens}"
                part.figure(
                    name, lambda t=timed, f=form, n=tokens: figure(machine, floor, t, f, n), NEEDS_S
                )
                machine.forget()


def forms(tokens: int, small: bool) -> Iterator[Format]:
    yield Dense("bf16")
    if tokens in PACKED_BATCHES and not small:
        yield Grouped("bf16", 4, 32)


def matrices(s: DecoderSpec, chip: int) -> list[Timed]:
    """Of one layer, and the head."""

    def summed(name: str, rows: int, depth: int) -> Timed:
        return Timed(name, "linear", Matrix(rows, depth, segments_of(rows, depth, chip)))

    return [
        summed("qkv", s.qkv_rows, s.hidden),
        summed("o", s.hidden, s.heads * s.head_dim),
        Timed("gate_up", "gated", Matrix(s.intermediate, s.hidden)),
        summed("down", s.hidden, s.intermediate),
        Timed("head", "linear", Matrix(s.padded_vocab, s.hidden)),
    ]


def figure(
    machine: Machine, floor: Floor, timed: Timed, form: Format, tokens: int
) -> dict[str, Any]:
    """By the tile that a step would take."""
    variant = products.choose(machine.chip, f"{timed.kind}_{form.name}", tokens, timed.matrix)
    took = machine.time(launches(machine, variant, timed, form, tokens))
    return {"tile": tile_of(variant), **floor.told(took, *work(timed, form, variant, tokens))}


def launches(
    machine: Machine, variant: Variant, timed: Timed, form: Format, tokens: int
) -> list[Launch]:
    """One after the other, each over other weights, until no cache holds them all."""
    matrix = timed.matrix
    rows = matrix.features * (2 if timed.kind == "gated" else 1)
    count = 1 if machine.small else max(2, int(COLD // size(form, rows, matrix.depth)) + 1)
    x = machine.filled(tokens * matrix.depth * 2, halves(machine))
    parts = products.parts(variant, matrix) if timed.kind == "linear" else 1
    y, kernel = machine.room(parts * tokens * matrix.features * 4), machine.kernel(variant)
    grid = products.grid(variant, tokens, matrix)
    zero = (form.zero,) if isinstance(form, Grouped) else ()
    made = []
    for _ in range(count):
        weights = random_weights(machine, form, rows, matrix.depth)
        if timed.kind == "gated":
            given = x, *weights, y, tokens, matrix.features, matrix.depth, *zero
            made.append(kernel.launch(grid[:1], *given))
        else:
            made.append(kernel.launch(grid, x, *weights, 0, y, tokens, *matrix, *zero))
    return made


def work(timed: Timed, form: Format, variant: Variant, tokens: int) -> tuple[float, float]:
    """(bytes, operations) that there are at least."""
    matrix, gated = timed.matrix, timed.kind == "gated"
    rows = matrix.features * (2 if gated else 1)
    parts = products.parts(variant, matrix)
    written = tokens * matrix.features * (2 if gated else 4 * parts)
    moved = size(form, rows, matrix.depth) + tokens * matrix.depth * 2 + written
    return moved, 2.0 * tokens * rows * matrix.depth


def random_weights(machine: Machine, form: Format, rows: int, depth: int) -> list[int]:
    """Addresses of a packed matrix of random numbers, which only the device has made."""
    places = []
    for name, (shape, kind) in form.shapes(rows, depth).items():
        block = (
            words(machine) if name == "words" else halves(machine, 0.02 if name == "w" else 0.002)
        )
        places.append(machine.filled(int(np.prod(shape)) * np.dtype(kind).itemsize, block))
    return places


def halves(machine: Machine, scale: float = 1.0) -> Any:
    """A block of normal numbers in bf16."""
    count = 4096 if machine.small else BLOCK // 2
    return to_bf16(np.random.default_rng(1).standard_normal(count, np.float32) * np.float32(scale))


def words(machine: Machine) -> Any:
    """A block of digits."""
    count = 4096 if machine.small else BLOCK // 4
    return np.random.default_rng(2).integers(-(2**31), 2**31, count, np.int64).astype(np.int32)


def tile_of(variant: Variant) -> str:
    """The end of its name: m64, or m128_walk."""
    return "m" + variant.name.rpartition("_m")[2]
