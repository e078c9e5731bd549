"""How long products take: the matrices of an 8B model by the tiles that a step takes, over weights
that no cache holds."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from blocks import Kind
from floor import Floor
from machine import Machine
from part import Part

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
FORMS = (Dense("bf16"), BATCHES), (Grouped("bf16", 4, 32), (1, 8, 32))
"""How weights are kept, and for how many tokens they are timed."""
COLD = 300e6
"""Bytes of weights that a graph goes through."""
NEEDS_S = 0.5
Cold = list[list[int]]


@dataclass(frozen=True)
class Timed:
    """A matrix of the model."""

    name: str
    kind: str
    """linear or gated."""
    matrix: Matrix
    """Of a gated one: half the rows."""

    @property
    def rows(self) -> int:
        """Of the weights."""
        return self.matrix.features * (2 if self.kind == "gated" else 1)


def run(part: Part, machine: Machine) -> None:
    floor = Floor.of(part.so_far)
    for timed in matrices(machine.kit.timed, machine.chip):
        for form, batches in FORMS[:1] if machine.small else FORMS:
            weights = cold(machine, form, timed)
            for tokens in batches[:1] if machine.small else batches:
                name = f"{timed.kind} {timed.name} {form.name} {tokens}"
                part.figure(
                    name,
                    lambda w=weights, t=timed, f=form, n=tokens: figure(machine, floor, w, t, f, n),
                    NEEDS_S,
                )
            machine.forget()


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
    machine: Machine, floor: Floor, weights: Cold, timed: Timed, form: Format, tokens: int
) -> dict[str, Any]:
    """By the tile that a step would take."""
    variant = products.choose(machine.chip, f"{timed.kind}_{form.name}", tokens, timed.matrix)
    took = machine.time(launches(machine, weights, variant, timed, form, tokens))
    return {"tile": tile_of(variant), **floor.told(took, *work(timed, form, variant, tokens))}


def cold(machine: Machine, form: Format, timed: Timed) -> Cold:
    """Addresses of the same matrix, of random numbers, so often that no cache holds them all."""
    rows, depth = timed.rows, timed.matrix.depth
    count = 1 if machine.small else max(2, int(COLD // size(form, rows, depth)) + 1)
    return [random_weights(machine, form, rows, depth) for _ in range(count)]


def random_weights(machine: Machine, form: Format, rows: int, depth: int) -> list[int]:
    """Addresses of the arrays of a packed matrix."""
    kinds: dict[str, Kind] = {"w": "halves", "words": "words", "scales": "scales"}
    return [
        machine.filled(int(np.prod(shape)) * np.dtype(kind).itemsize, kinds[name])
        for name, (shape, kind) in form.shapes(rows, depth).items()
    ]


def launches(
    machine: Machine, weights: Cold, variant: Variant, timed: Timed, form: Format, tokens: int
) -> list[Launch]:
    """One after the other, each over other weights."""
    matrix, gated, kernel = timed.matrix, timed.kind == "gated", machine.kernel(variant)
    parts, grid = products.parts(variant, matrix), products.grid(variant, tokens, matrix)
    x = machine.filled(tokens * matrix.depth * 2, "halves")
    y = machine.room(parts * tokens * matrix.features * 4)
    zero = (form.zero,) if isinstance(form, Grouped) else ()
    if gated:
        last = y, tokens, matrix.features, matrix.depth, *zero
        return [kernel.launch(grid[:1], x, *one, *last) for one in weights]
    return [kernel.launch(grid, x, *one, 0, y, tokens, *matrix, *zero) for one in weights]


def work(timed: Timed, form: Format, variant: Variant, tokens: int) -> tuple[float, float]:
    """(bytes, operations) that there are at least."""
    matrix, rows, gated = timed.matrix, timed.rows, timed.kind == "gated"
    parts = products.parts(variant, matrix)
    written = tokens * matrix.features * (2 if gated else 4 * parts)
    moved = size(form, rows, matrix.depth) + tokens * matrix.depth * 2 + written
    return moved, 2.0 * tokens * rows * matrix.depth


def tile_of(variant: Variant) -> str:
    """The end of its name: m64, or m128_walk."""
    return "m" + variant.name.rpartition("_m")[2]
