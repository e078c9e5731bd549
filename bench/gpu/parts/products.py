"""Products with weights on the device: right, and a row's bits the same whatever the tile, the batch
and the division among programs; packed weights give the bits of the dense ones that they stand for."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from machine import Array, Machine
from part import Part, hold

from raylax.kernels.cuda.formats.base import Format, Precision, narrowed, widened
from raylax.kernels.cuda.formats.dense import Dense
from raylax.kernels.cuda.formats.grouped import Grouped
from raylax.kernels.cuda.variants import products
from raylax.kernels.cuda.variants.base import Variant
from raylax.kernels.cuda.variants.products import Matrix

MOST_ERROR = 1e-4
"""Of a product's norm. Matrix units truncate: by their model 5e-6 of 4,096 inputs; one wrong element
of 300,000 is 2e-3."""
GATED_ERROR = 0.01
"""Of a gated product's, which is rounded to the model's precision."""


@dataclass(frozen=True)
class Sizes:
    features: int
    depth: int
    batches: tuple[int, ...]
    """Numbers of tokens, the largest last: each has the last row of it."""
    segments: tuple[int, ...]


FULL = Sizes(1024, 4096, (1, 7, 16, 33, 300), (1, 4))
QUICK = Sizes(512, 4096, (1, 7, 33, 200), (1, 4))
SMALL = Sizes(128, 512, (1, 9), (1, 4))


def run(part: Part, machine: Machine) -> None:
    one = Products(machine, SMALL if machine.small else QUICK if machine.quick else FULL)
    for form in formats(machine.small):
        part.check(f"linear {form.name}", lambda form=form: one.linear(form))
        part.check(f"gated {form.name}", lambda form=form: one.gated(form))
        if isinstance(form, Grouped):
            part.check(f"dequantise {form.name}", lambda form=form: one.dequantise(form))
        machine.forget()


def formats(small: bool) -> Iterator[Format]:
    """All that weights are kept in; small: those of a kit for tests."""
    precisions: tuple[Precision, ...] = ("bf16",) if small else ("bf16", "f16")
    for precision in precisions:
        yield Dense(precision)
        yield Grouped(precision, 4, 32)
        if not small:
            yield Grouped(precision, 4, 128)
            yield Grouped(precision, 8, 32)
            yield Grouped(precision, 8, 128, floats=True)


class Products:
    """Products of one size."""

    def __init__(self, machine: Machine, sizes: Sizes) -> None:
        self.machine, self.sizes = machine, sizes

    def linear(self, form: Format) -> str:
        """Every tile against float64, and the last row's bits against those of the others."""
        machine, sizes = self.machine, self.sizes
        x = self.drawn(form, sizes.batches[-1])
        bias = self.drawn(form, sizes.features)[:, 0].copy()
        packed = self.packed(form, sizes.features)
        exact = wide(form, x) @ form.unpack(packed, sizes.depth).T.astype(float) + wide(form, bias)
        places = (*map(machine.put, packed.values()), machine.put(bias))
        ways, worst = 0, 0.0
        few = machine.small and isinstance(form, Grouped)  # an interpreter takes its time
        for segments in sizes.segments[-1:] if few else sizes.segments:
            matrix, seen = Matrix(sizes.features, sizes.depth, segments), None
            for variant in machine.kit.made_by(f"linear_{form.name}"):
                if variant.constants["WALK"] and segments == 1:
                    continue
                for tokens in sizes.batches:
                    found = product(machine, variant, x[len(x) - tokens :], places, matrix, form)
                    off = distance(found, exact[len(exact) - tokens :])
                    hold(off < MOST_ERROR, f"{variant.name} of {tokens} tokens is off by {off:.1e}")
                    seen = found[-1] if seen is None else seen
                    same = np.array_equal(found[-1].view(np.int32), seen.view(np.int32))
                    hold(
                        same,
                        f"{variant.name} of {tokens} tokens in {segments} segments gives a row other bits",
                    )
                    ways, worst = ways + 1, max(worst, off)
            if isinstance(form, Grouped):
                dense = self.dense_row(form, packed, x[-1:], bias, matrix)
                hold(
                    np.array_equal(seen, dense),
                    f"packed weights in {segments} segments give other bits than dense ones",
                )
        return f"{ways} ways, a row's bits equal in all of a cut; off by at most {worst:.1e}"

    def dense_row(
        self, form: Grouped, packed: dict[str, Array], x: Array, bias: Array, matrix: Matrix
    ) -> Array:
        """A row by the dense product, of the weights that packed ones stand for."""
        machine, plain = self.machine, Dense(form.precision)
        weights = plain.pack(form.unpack(packed, matrix.depth))["w"]
        variant = next(machine.kit.made_by(f"linear_{plain.name}"))
        return product(
            machine, variant, x, (machine.put(weights), machine.put(bias)), matrix, plain
        )[-1]

    def gated(self, form: Format) -> str:
        """silu(gate) * up by every tile."""
        machine, sizes = self.machine, self.sizes
        x, packed = self.drawn(form, sizes.batches[-1]), self.packed(form, 2 * sizes.features)
        gate, up = np.split(
            wide(form, x) @ form.unpack(packed, sizes.depth).T.astype(float), 2, axis=1
        )
        exact = gate / (1 + np.exp(-gate)) * up
        places = tuple(map(machine.put, packed.values()))
        matrix, seen, ways, worst = Matrix(sizes.features, sizes.depth), None, 0, 0.0
        for variant in machine.kit.made_by(f"gated_{form.name}"):
            for tokens in sizes.batches:
                rows = x[len(x) - tokens :]
                y = machine.room(tokens * matrix.features * 2)
                (tiles, _) = products.grid(variant, tokens, matrix)
                rest = (*places, y, tokens, matrix.features, matrix.depth, *zero(form))
                machine.run(machine.kernel(variant).launch((tiles,), machine.put(rows), *rest))
                found = machine.get(y, (tokens, matrix.features), x.dtype)
                off = distance(wide(form, found), exact[len(exact) - tokens :])
                hold(off < GATED_ERROR, f"{variant.name} of {tokens} tokens is off by {off:.1e}")
                seen = found[-1] if seen is None else seen
                hold(
                    np.array_equal(found[-1], seen),
                    f"{variant.name} of {tokens} tokens gives a row other bits",
                )
                ways, worst = ways + 1, max(worst, off)
        return f"{ways} ways, a row's bits equal in all; off by at most {worst:.1e}"

    def dequantise(self, form: Grouped) -> str:
        """Every weight's bits."""
        machine, sizes = self.machine, self.sizes
        packed = self.packed(form, sizes.features)
        (variant,) = machine.kit.made_by(f"dequantise_{form.name}")
        out, matrix = (
            machine.room(sizes.features * sizes.depth * 2),
            Matrix(sizes.features, sizes.depth),
        )
        machine.run(
            machine.kernel(variant).launch(
                products.grid(variant, 1, matrix),
                *(*map(machine.put, packed.values()), out, sizes.features, sizes.depth, form.zero),
            )
        )
        expected = narrowed(form.unpack(packed, sizes.depth), form.precision)
        found = machine.get(out, expected.shape, expected.dtype)
        hold(
            np.array_equal(found.view(np.uint16), expected.view(np.uint16)),
            "other weights than numpy's",
        )
        return f"{found.size} weights equal"

    def drawn(self, form: Format, rows: int) -> Array:
        """Numbers in a format's precision."""
        values = self.machine.rng.standard_normal((rows, self.sizes.depth), np.float32)
        return narrowed(values, form.precision)

    def packed(self, form: Format, rows: int) -> dict[str, Array]:
        """Weights of about 0.05. Digits that are integers are drawn as such: to round floats to
        them needs a compiler, and is tried where there is one."""
        rng, depth = self.machine.rng, self.sizes.depth
        if not isinstance(form, Grouped) or form.floats:
            return form.pack(rng.standard_normal((rows, depth), np.float32) * np.float32(0.05))
        shapes = {name: shape for name, (shape, _) in form.shapes(rows, depth).items()}
        scales = (0.5 + rng.random(shapes["scales"], np.float32)) * np.float32(0.2 / 2**form.bits)
        words = rng.integers(-(2**31), 2**31, shapes["words"], np.int32)
        return {"words": words, "scales": narrowed(scales, form.precision)}


def product(
    machine: Machine,
    variant: Variant,
    x: Array,
    places: tuple[int, ...],
    matrix: Matrix,
    form: Format,
) -> Array:
    """f32[tokens, features], segments added upwards. `places`: of the weights' arrays, and of the
    bias (0: none)."""
    parts = products.parts(variant, matrix)
    y = machine.room(parts * len(x) * matrix.features * 4)
    grid = products.grid(variant, len(x), matrix)
    launch = machine.kernel(variant).launch(
        grid, machine.put(x), *places, y, len(x), *matrix, *zero(form)
    )
    machine.run(launch)
    found = machine.get(y, (parts, len(x), matrix.features), np.float32)
    total: Array = found[0]
    for part in found[1:]:
        total = total + part
    return total


def zero(form: Format) -> tuple[int, ...]:
    """The digit that is 0, which packed products are told."""
    return (form.zero,) if isinstance(form, Grouped) else ()


def wide(form: Format, values: Array) -> Array:
    """As float64."""
    return widened(values, form.precision).astype(float)


def distance(found: Array, exact: Array) -> float:
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))
