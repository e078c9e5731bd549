"""Codes that lie several in a word of a file are those of groups."""

import numpy as np
import pytest

from raylax.kernels.checkpoints.groups import Groups, Kind, own, packed, packed_words, unpacked
from raylax.kernels.checkpoints.quantised.awq import packed_outputs
from raylax.kernels.checkpoints.quantised.awq import unpacked as outputs_of
from raylax.kernels.checkpoints.quantised.base import digits, rows_of_words, some_digits

ROWS, COLUMNS = 48, 96


def words(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).integers(-(2**31), 2**31, shape).astype(np.int32)


def test_words_of_eight_codes() -> None:
    """Lowest first; of a part of a larger array, too."""
    found = words(ROWS, COLUMNS // 4)[:, : COLUMNS // 8]

    codes = packed_words(found)

    assert np.array_equal(unpacked(codes, 4), digits(found, 4, 1))


@pytest.mark.parametrize(("bits", "kept"), [(2, 4), (3, 4), (4, 4), (8, 8)])
def test_rows_of_words(bits: int, kept: int) -> None:
    """Of any number of digits: what is over in the last word is no weight."""
    found, depth = words(ROWS, COLUMNS * bits // 32), COLUMNS - 32

    codes = rows_of_words(found, bits, own(kept), depth)  # type: ignore[arg-type]

    assert np.array_equal(codes, packed(digits(found, bits, 1)[:, :depth], kept))


def test_words_of_eight_outputs() -> None:
    """In AWQ's order."""
    found = words(COLUMNS, ROWS // 8)

    codes = packed_outputs(found)

    assert np.array_equal(unpacked(codes, 4), outputs_of(found).T)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("axis", [0, 1])
def test_some_digits_are_had_without_the_others(bits: int, axis: int) -> None:
    """Wherever they begin, also where a digit runs over into the next word."""
    found = np.moveaxis(words(5, 96 * bits // 32), 1, axis)
    every = np.moveaxis(digits(found, bits, axis), axis, 0)

    for first, end in ((0, 1), (1, 96), (31, 33), (64, 96), (95, 96), (40, 40)):
        some = some_digits(found, bits, axis, slice(first, end))
        assert np.array_equal(np.moveaxis(some, axis, 0), every[first:end]), (first, end)


def test_codes_of_a_table_are_the_same_numbers_in_8_bits() -> None:
    """And none that 4 bits hold."""
    kind = Kind(4, scale="bf16", table="e2m1")
    codes = np.arange(32, dtype=np.uint8).reshape(1, 32) % 16
    groups = Groups(kind, packed(codes, 4), np.array([[0x3F00]], np.uint16))

    values = groups.values()

    assert values[0, :16].tolist() == [
        0,
        0.5,
        1,
        1.5,
        2,
        3,
        4,
        6,
        0,
        -0.5,
        -1,
        -1.5,
        -2,
        -3,
        -4,
        -6,
    ]
    assert np.array_equal(groups.as_kind(own(8)).values(), values)
    assert own(8).holds(kind) and not own(4).holds(kind) and not kind.holds(own(4))
