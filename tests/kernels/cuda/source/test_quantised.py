"""Products with packed weights: bit for bit those of the weights that they stand for."""

import numpy as np
import pytest

from raylax.kernels.cuda.formats.base import Packed
from raylax.kernels.cuda.formats.dense import Dense
from raylax.kernels.cuda.formats.grouped import Grouped
from raylax.kernels.cuda.matrix_unit import HOPPER
from tests.support.cuda_interpreter import matrix_unit
from tests.support.cuda_products import PACKED, Array, Tile, dequantised, gated, linear, numbers

FEATURES, DEPTH = 24, 256
named = pytest.mark.parametrize("form", PACKED, ids=lambda form: f"{form.name}_z{form.zero}")


def packed(form: Grouped, rows: int, depth: int = DEPTH) -> Packed:
    """Every digit is there, and rows whose scales differ by thousands."""
    rng = np.random.default_rng(3)
    spread = np.exp2(rng.integers(-8, 3, (rows, 1))).astype(np.float32)
    w = form.pack(rng.standard_normal((rows, depth), np.float32) * spread)
    w["words"][0] = rng.integers(-(2**31), 2**31, w["words"].shape[1])
    return w


def stand_for(form: Grouped, w: Packed, depth: int = DEPTH) -> Packed:
    return Dense(form.precision).pack(form.unpack(w, depth))


def finite(form: Grouped, w: Packed) -> Packed:
    """Without the two codes of fp8 that are no numbers."""
    if form.floats:
        codes = w["words"].view(np.uint8)
        codes[codes & 0x7F == 0x7F] = 0x7E
    return w


@named
def test_linear_is_that_of_the_weights(form: Grouped) -> None:
    x, w, plain = (
        numbers(form, 9, DEPTH),
        finite(form, packed(form, FEATURES)),
        Dense(form.precision),
    )

    for segments, tile in [(1, Tile(16)), (2, Tile(16, walk=True))]:
        with matrix_unit(HOPPER):
            y = linear(form, x, w, FEATURES, segments, tile)
            assert np.array_equal(y, linear(plain, x, stand_for(form, w), FEATURES, segments, tile))


@named
def test_gated_is_that_of_the_weights(form: Grouped) -> None:
    x, w = numbers(form, 3, DEPTH, scale=0.1), finite(form, packed(form, 2 * FEATURES))

    with matrix_unit(HOPPER):
        y = gated(form, x, w, FEATURES)
        assert np.array_equal(y, gated(Dense(form.precision), x, stand_for(form, w), FEATURES))


@named
def test_the_kernel_dequantises_as_numpy_does(form: Grouped) -> None:
    """So do all products: they take weights from the same function. -0 is a digit of fp8."""
    w = finite(form, packed(form, FEATURES))

    assert np.array_equal(dequantised(form, w, FEATURES, DEPTH), form.unpack(w, DEPTH))


@pytest.mark.parametrize("form", [f for f in PACKED if f.group == 32], ids=lambda f: f.name)
def test_a_last_block_may_be_a_part(form: Grouped) -> None:
    """Its padding holds digits that are not looked at, whatever they are."""
    depth = 128 + 32
    x, w = numbers(form, 3, depth), packed(form, FEATURES, depth)
    plain = stand_for(form, w, depth)
    w["scales"][depth // 32 :] = 1

    with matrix_unit(HOPPER):
        expected: Array = linear(Dense(form.precision), x, plain, FEATURES)
        assert np.array_equal(linear(form, x, w, FEATURES), expected)
    assert np.array_equal(dequantised(form, w, FEATURES, depth), form.unpack(w, depth))
