"""The chip's matrix unit against the model of it (`kernels/cuda/matrix_unit.py`), by every tile of a
dense product: what all equal bits rest on."""

import numpy as np
from machine import Machine
from part import Part, hold

from parts.products import product
from raylax.kernels.cuda.formats.base import Precision, narrowed, widened
from raylax.kernels.cuda.formats.dense import Dense
from raylax.kernels.cuda.matrix_unit import UNITS
from raylax.kernels.cuda.variants.products import Matrix

TOKENS, FEATURES = 3, 128
DEPTH, SMALL_DEPTH = 2048, 256


def run(part: Part, machine: Machine) -> None:
    precisions: tuple[Precision, ...] = ("bf16",) if machine.small else ("bf16", "f16")
    for precision in precisions:
        part.check(f"matrix unit {precision}", lambda one=precision: agrees(machine, one))


def agrees(machine: Machine, precision: Precision) -> str:
    """Exponents are spread, so that what is cut off counts."""
    depth, form = SMALL_DEPTH if machine.small else DEPTH, Dense(precision)
    x, w = (narrowed(spread(machine, rows, depth), precision) for rows in (TOKENS, FEATURES))
    unit = UNITS[machine.chip]
    expected = unit.dot(widened(x, precision), widened(w, precision).T)
    wrong, tiles = dict[str, int](), 0
    for variant in machine.kit.made_by(f"linear_{form.name}"):
        if not variant.constants["WALK"]:
            matrix = Matrix(FEATURES, depth)
            found = product(machine, variant, x, (machine.put(w), 0), matrix, form)
            tiles += 1
            if count := int((found.view(np.int32) != expected.view(np.int32)).sum()):
                wrong[variant.name] = count
    machine.forget()
    hold(not wrong, f"of {expected.size} elements differ from the model of the unit: {wrong}")
    return (
        f"{tiles} tiles have all bits of the model ({unit.step} products a step, {unit.bits} bits)"
    )


def spread(machine: Machine, rows: int, depth: int) -> np.ndarray:
    """Normal numbers times powers of two from 2^-4 to 2^4."""
    values = machine.rng.standard_normal((rows, depth), np.float32)
    return np.ldexp(values, machine.rng.integers(-4, 5, values.shape)).astype(np.float32)
