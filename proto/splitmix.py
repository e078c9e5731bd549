"""The finaliser of SplitMix64 (Steele, Lea, Flood 2014): it turns any keys into even noise.

A bijection of 64 bits, in which every bit of a key reaches every bit of the result. Engines key
their draws by it, routers weigh workers: both must be the same in every process and release.
"""

import numpy as np
import numpy.typing as npt

MASK = (1 << 64) - 1
FIRST, SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def mix(z: int) -> int:
    """The mixed bits of one number, 0..2**64 - 1."""
    z = ((z ^ (z >> 30)) * FIRST) & MASK
    z = ((z ^ (z >> 27)) * SECOND) & MASK
    return z ^ (z >> 31)


def mix_column(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The mixed bits of each number of a column."""
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(FIRST)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(SECOND)
    return keys ^ (keys >> np.uint64(31))
