"""The finaliser, for one number and for a column of them."""

import random

import numpy as np

from raylax.proto.splitmix import mix, mix_column


def test_the_generator_is_splitmix64() -> None:
    """Its published first output for seed 0: the draws of a release are those of the next."""
    assert mix(0x9E3779B97F4A7C15) == 0xE220A8397B1DCDAF


def test_a_column_is_mixed_as_its_numbers_are() -> None:
    rng = random.Random(5)
    keys = [0, 1, 2**63, 2**64 - 1, *(rng.getrandbits(64) for _ in range(100))]

    assert mix_column(np.array(keys, np.uint64)).tolist() == [mix(key) for key in keys]
