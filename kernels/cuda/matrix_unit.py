"""How a matrix unit adds, in numpy: what products on a chip must come to, bit for bit.

Tensor cores do not add in float32's order. A step takes a fixed number of products and the
accumulator, aligns them to the largest exponent, cuts each to a number of fraction bits, adds the
integers exactly and truncates the sum to float32 (MMA-Sim, arXiv 2511.10909, whose authors report
equal bits on ten chips). So the order within a step is immaterial, and an element depends on its
own row, column and accumulator alone.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
LEAST_EXPONENT = -125
"""numpy's, of the least float32 that is not subnormal: `frexp` has significands below 1."""


@dataclass(frozen=True, slots=True)
class MatrixUnit:
    """How a family of chips adds products of bf16 or f16 into float32."""

    step: int
    """Products that are added at once."""
    bits: int
    """Fraction bits to which they are aligned."""

    def dot(self, a: Floats, b: Floats, start: Floats | float = 0.0) -> Floats:
        """start + a[M, K] @ b[K, N]. Finite values only; K is a multiple of the step."""
        total = np.broadcast_to(np.float32(start), (*a.shape[:-1], b.shape[-1])).astype(np.float32)
        for k in range(0, a.shape[-1], self.step):
            total = self._step(a[..., k : k + self.step], b[..., k : k + self.step, :], total)
        return total

    def _step(self, a: Floats, b: Floats, c: Floats) -> Floats:
        (sa, ea), (sb, eb), (sc, ec) = split(a), split(b), split(c)
        exponents = ea[..., :, :, None] + eb[..., None, :, :]
        largest = np.maximum(exponents.max(axis=-2), ec)
        products = sa[..., :, :, None] * sb[..., None, :, :]
        aligned = np.trunc(np.ldexp(products, self.bits + exponents - largest[..., :, None, :]))
        whole = aligned.sum(axis=-2)  # exact: integers
        whole += np.trunc(np.ldexp(sc, self.bits + ec - largest))
        return truncated(np.ldexp(whole, largest - self.bits))


HOPPER = BLACKWELL = MatrixUnit(16, 25)
AMPERE = ADA = MatrixUnit(8, 24)
UNITS = {
    80: AMPERE,
    86: AMPERE,
    89: ADA,
    90: HOPPER,
    100: BLACKWELL,
    103: BLACKWELL,
    120: BLACKWELL,
}
"""By chip; those that share a unit have the same bits."""


def split(x: Floats) -> tuple[Doubles, npt.NDArray[Any]]:
    """(significand, exponent), 1 <= |significand| < 2; zero has the least exponent."""
    whole = x.astype(np.float64)
    significand, exponent = np.frexp(whole)
    exponent = np.where(significand == 0, LEAST_EXPONENT, np.maximum(exponent, LEAST_EXPONENT)) - 1
    return np.ldexp(whole, -exponent), exponent


def truncated(x: Doubles) -> Floats:
    """float64 to float32, toward zero."""
    near = x.astype(np.float32)
    toward_zero = np.nextafter(near, np.float32(0))
    return np.where(np.abs(near.astype(np.float64)) > np.abs(x), toward_zero, near)
