"""Into how many segments the sums of a weight matrix are cut, so that one token occupies a chip.

A product at batch 1 has as many programs as the matrix has tiles of rows. With fewer than a chip
has multiprocessors, memory waits; so K is cut, and each segment has programs of its own. The cut
changes bits, hence it follows from the matrix and the chip's matrix unit alone: never from the
batch, and chips that add alike (`matrix_unit.py`) cut alike.

It is for matrices whose readers add the segments: qkv, o and down. A gated product and the output
head have none.
"""

from raylax.kernels.cuda.matrix_unit import AMPERE, HOPPER, UNITS, MatrixUnit
from raylax.kernels.errors import CompileError

SEGMENTS = (1, 4)
"""What readers are compiled for."""
BLOCK = 128
"""A segment has a multiple of these inputs: of a block of packed weights, of a pipeline's step."""
LEAST = 2 * BLOCK
"""The fewest inputs of a segment: a shorter one is over before its loads overlap."""
TILE = 64
"""Rows of weights in a tile at batch 1; on some chips 128."""
MULTIPROCESSORS: dict[MatrixUnit, int] = {AMPERE: 108, HOPPER: 148}
"""To occupy: of A100, and of B200."""


def segments_of(features: int, depth: int, chip: int) -> int:
    """The least that gives three programs for every two multiprocessors, if the inputs can be cut
    so; of those that are too few, the most. Raises CompileError for an unknown chip."""
    if chip not in UNITS:
        raise CompileError(f"chips are {', '.join(map(str, UNITS))}, found {chip}")
    tiles = -(-features // TILE)
    fit = [n for n in SEGMENTS if n == 1 or (depth % (n * BLOCK) == 0 and depth // n >= LEAST)]
    enough = [n for n in fit if 2 * tiles * n >= 3 * MULTIPROCESSORS[UNITS[chip]]]
    return enough[0] if enough else fit[-1]
