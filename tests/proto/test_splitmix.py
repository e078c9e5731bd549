"""The finaliser, of a column of numbers."""

import numpy as np

from raylax.proto.splitmix import mix_column


def test_the_generator_is_splitmix64() -> None:
    """Its published first outputs for seed 0, of a column."""
    golden = 0x9E3779B97F4A7C15
    keys = np.array([golden, 2 * golden % 2**64], np.uint64)

    assert mix_column(keys).tolist() == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]
