"""The finaliser of SplitMix64 (Steele, Lea, Flood 2014): it turns any keys into even noise.

A bijection of 64 bits, in which every bit of a key reaches every bit of the result. Routers weigh
workers by it, which must be the same in every process. (Draws have their own definition, in
`kernels/draws/`, which GPUs compute as well.)
"""

import numpy as np
import numpy.typing as npt

FIRST, SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def mix_column(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The mixed bits of each number of a column."""
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(FIRST)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(SECOND)
    return keys ^ (keys >> np.uint64(31))
