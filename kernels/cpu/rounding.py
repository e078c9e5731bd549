"""How weights become few bits: groups of them as whole codes and a scale, on CPUs and GPUs alike.

weight = scale * code. Of 4 bits all 16 codes are used: they are -8 .. 7, so the scale is negative
where the largest weight is positive. Scales are tried that put the largest weight on each of
`ends`; each is fitted to its codes by least squares and rounded to what is stored, and that with
the least squared error is chosen. Least squares makes all weights smaller, by about half a percent,
which adds up from layer to layer as no other error does: so the scale that is kept is the one with
which the nearest codes, times the weights, come to the weights' own square. One end is taken as it
is: of 8 bits there is nothing to win.

Ties are rounded to even, and the first of equal ends is kept. Groups whose weights are all below
2^-103 are zeros. All CPUs have the same bits (`kernels/cpu/tir/rounding.py`).
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from raylax.kernels.errors import CompileError
from raylax.kernels.memory import aligned_empty

LANES = 16
LARGEST = 2.0**127
AT_ONCE = 1 << 22
"""Weights of a call at most: places among them are int32."""


class Codes(NamedTuple):
    """The whole numbers that weights become, and what is stored of them."""

    bits: int
    zero: int
    """What 0 is stored as."""
    lowest: int
    highest: int
    ends: tuple[float, ...]
    """Where the largest weight lies in the scales that are tried."""


FOUR = Codes(4, 8, -8, 7, (-8.0, -7.0, -7.5, -8.5, -9.0))
FOUR_FROM_7 = Codes(4, 7, -7, 8, (8.0, 7.0, 7.5, 8.5, 9.0))
"""As MLC packs weights: the scale has the other sign."""
EIGHT = Codes(8, 128, -127, 127, (127.0,))


class Rounded(NamedTuple):
    """Groups of weights in few bits."""

    codes: npt.NDArray[np.uint8]
    """[groups, size * bits / 8], as `kernels/checkpoints/groups.py` has them."""
    scales: npt.NDArray[np.float32]
    """[groups]: numbers that bf16 has, and f16, too, if it was asked for."""


def round_groups(weights: npt.NDArray[np.float32], codes: Codes, half: bool = False) -> Rounded:
    """f32[groups, size]; sizes are multiples of 32 up to 128. `half`: scales are to be numbers of
    f16, too. Raises CompileError for weights that are not finite."""
    count, size = weights.shape
    padded = -(-count // LANES) * LANES
    shape = padded, size * codes.bits // 8
    out = aligned_empty(shape, "uint8"), aligned_empty((padded,), "float32")
    run = _compiled(size, codes, half)
    step = AT_ONCE // size // LANES * LANES
    for first in range(0, count, step):
        part = weights[first : first + step]
        if more := -len(part) % LANES:
            part = np.pad(part, ((0, more), (0, 0)))
        kept = (array[first : first + len(part)] for array in out)
        run(len(part), np.require(part, np.float32, ("C", "A")), *kept)
    result = Rounded(out[0][:count], out[1][:count])
    if not np.isfinite(result.scales).all():
        check_finite(weights)
    return result


def check_finite(weights: npt.NDArray[np.float32]) -> None:
    """Raises CompileError for weights that are not, or so large that they have no scale."""
    if not (largest := np.abs(weights).max(initial=0)) < LARGEST:
        raise CompileError(f"weights must be finite and below 2^127, found {largest:g}")


def to_f16(weights: npt.NDArray[Any]) -> npt.NDArray[np.float16]:
    """To nearest, ties to even. Raises CompileError where they become infinite."""
    try:
        with np.errstate(over="raise"):
            return weights.astype(np.float16)
    except FloatingPointError:
        largest = np.abs(weights).max()
        raise CompileError(
            f"numbers of f16 must be at most 65504, found {largest:g} in the weights; take bf16"
        ) from None


@cache
def _compiled(size: int, codes: Codes, half: bool) -> Any:
    """run(groups, weights, codes, scales), in memory; Python's lock is free meanwhile. It is made
    for the CPU that runs this, whatever the weights are for."""
    from raylax.kernels.cpu.codegen import compile_function
    from raylax.kernels.cpu.target import this_cpu
    from raylax.kernels.cpu.tir.rounding import emitted
    from raylax.kernels.runtime import as_tensor

    name = "round_groups"
    run = compile_function(this_cpu(), name, lambda: emitted(size, *codes, half))[name]

    def call(count: int, *arrays: npt.NDArray[Any]) -> None:
        weights, out, scales = (one.reshape(-1) for one in arrays)
        run(count, as_tensor(weights), as_tensor(out.view(np.int32)), as_tensor(scales))

    return call
